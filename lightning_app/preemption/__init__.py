"""Azure's notice that it takes a machine away: the training saves in time, and ends or goes on."""
