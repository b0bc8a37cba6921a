"""``python -m lightning_app {fit,validate,test,predict}``."""

from lightning_app.main import main

if __name__ == "__main__":
    main()
