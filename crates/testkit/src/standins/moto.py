# Serves the APIs of AWS from memory, on a free port of 127.0.0.1 that it prints, until its standard input ends: that
# is, until whoever started it closes it or dies.
import logging
import os
import sys

from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)
