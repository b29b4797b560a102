"""Hands bytes on between a port of this machine, which it prints, and a Unix socket."""
import asyncio
import sys


async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def accept(reader, writer):
    there_reader, there_writer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer), return_exceptions=True)


async def main():
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
