"""A real server of uvicorn, on a port of the system's choice."""

import asyncio
import contextlib
import socket

import pytest

uvicorn = pytest.importorskip("uvicorn")

from keras_imaging.export import slow_clients  # noqa: E402

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 24 * 2**20


async def app(scope, receive, send):
    size = LARGE if scope["path"] == "/large" else 2
    length = str(size).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": bytes(size)})


@contextlib.asynccontextmanager
async def serving(seconds):
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, timeout_keep_alive=seconds, lifespan="off", log_config=None, log_level="critical"
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1], server.server_state.connections
        server.should_exit = True
        await running


async def ended(port, *parts, pause=0.0):
    """What comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read())
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
    try:
        return await asyncio.wait_for(answer, 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def test_clients_that_do_not_ask_are_sent_away(monkeypatch):
    monkeypatch.setitem(slow_clients.HTTP_PROTOCOLS, "auto", "nothing:Here")
    slow_clients.use()

    async def walk():
        async with serving(0.4) as (port, connections):
            silent, half, trickle, asks_twice, half_the_second = await asyncio.gather(
                ended(port),
                ended(port, ASK[:20]),
                # Bytes do not help, though each comes within the time.
                ended(port, *[ASK[k : k + 1] for k in range(4)], pause=0.2),
                # Two heads, each in two parts.
                ended(port, ASK[:9], ASK[9:], ASK[:9], ASK[9:], pause=0.15),
                ended(port, ASK, ASK[:9]),
            )
            assert silent == half == trickle == b""
            assert asks_twice.count(b"200 OK") == 2
            assert half_the_second.count(b"200 OK") == 1
            assert not connections

    asyncio.run(walk())


def test_clients_that_do_not_read_are_sent_away(monkeypatch):
    monkeypatch.setitem(slow_clients.HTTP_PROTOCOLS, "auto", "nothing:Here")
    slow_clients.use()

    async def walk():
        async with serving(0.4) as (port, connections):
            ask = ASK.replace(b"/ ", b"/large ", 1)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ask)
            # The stream's buffer fills, then the system's; nothing is read after that.
            async with asyncio.timeout(20):
                while not connections:
                    await asyncio.sleep(0.01)
                while connections:
                    await asyncio.sleep(0.05)
            writer.close()
            # Slowly is not never: it takes longer than the time, and is sent all.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ask)
            received = 0
            async with asyncio.timeout(60):
                while received < LARGE:
                    received += len(await reader.read(4 * 2**20))
                    await asyncio.sleep(0.01)
            writer.close()

    asyncio.run(walk())
