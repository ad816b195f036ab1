# What PyWren and Lithops do to start functions: a pool of threads that call Invoke for an Event.
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

address, count = sys.argv[1], int(sys.argv[2])
client = boto3.client(
    "lambda",
    region_name="us-east-1",
    endpoint_url=f"http://{address}",
    aws_access_key_id="id",
    aws_secret_access_key="secret",
    config=Config(max_pool_connections=64, retries={"max_attempts": 0}, read_timeout=900),
)


def call(number):
    client.invoke(FunctionName="rustwren", InvocationType="Event", Payload=b'{"input":"x"}')


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


before, started = cpu(), time.time()
with ThreadPoolExecutor(64) as pool:
    for _ in pool.map(call, range(count)):
        pass
print(cpu() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, started)
