"""A folder of this machine into a blob container of the workspace.

folder     what is in the folder, and what of it can't be sent
target     where it goes: the datastore, the path, and the name under which a job finds it
container  the requests, each tried again while that may help
comparison what is there already
sending    all the rest, by several threads
"""
