"""Arrow Flight's side of the transport benchmark: an echo server and its client.

    flight_echo.py LOCATION

Starts the server in a child process at LOCATION (grpc+tcp://127.0.0.1:0 or grpc+unix://PATH),
then, for every line of standard input (a number of bytes), echoes that much through do_exchange
and prints the seconds it took.
"""

import os
import signal
import sys
import time

import pyarrow as pa
import pyarrow.flight as flight


class EchoServer(flight.FlightServerBase):
    def do_exchange(self, context, descriptor, reader, writer):
        writer.begin(reader.schema)
        for chunk in reader:
            writer.write_batch(chunk.data)


def serve(location, ready):
    server = EchoServer(location)
    os.write(ready, f"{server.port}\n".encode())
    server.serve()


def echo(client, batch):
    start = time.perf_counter()
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_path("echo"))
    with writer:
        writer.begin(batch.schema)
        writer.write_batch(batch)
        writer.done_writing()
        reply = reader.read_all()
    seconds = time.perf_counter() - start
    assert reply.nbytes == batch.nbytes, (reply.nbytes, batch.nbytes)
    return seconds


def main():
    location = sys.argv[1]
    ready, ready_to = os.pipe()
    child = os.fork()
    if child == 0:
        serve(location, ready_to)
        return
    port = int(os.read(ready, 32))
    if location.startswith("grpc+tcp"):
        location = f"grpc+tcp://127.0.0.1:{port}"
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    client = flight.FlightClient(location, generic_options=options)
    try:
        for line in sys.stdin:
            buffer = pa.py_buffer(bytes(int(line)))
            values = pa.Array.from_buffers(pa.uint8(), int(line), [None, buffer])
            batch = pa.record_batch([values], names=["payload"])
            print(f"{echo(client, batch):.9f}", flush=True)
    finally:
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
