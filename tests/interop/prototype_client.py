"""The prototype's test client on another WebSocket library than the server's.

100 users, user i follows i and i + 1, 1000 random positions. Every delivery is checked: each
position reaches its own user and the user before it, once, in order, digit by digit.

Usage: prototype_client.py ws://127.0.0.1:8080
"""

import asyncio
import json
import random
import sys

import websockets

USERS = 100
MESSAGES = 1000
TIMEOUT_S = 60


async def main(url):
    connections = await asyncio.gather(*(websockets.connect(url) for _ in range(USERS)))
    for user, connection in enumerate(connections):
        hello = {"initialRequest": True, "userId": user, "following": [user, user + 1]}
        await connection.send(json.dumps(hello))
    # A pong proves that what was sent before its ping has been carried out.
    for connection in connections:
        await (await connection.ping())

    expected = [[] for _ in range(USERS)]
    for _ in range(MESSAGES):
        user = random.randrange(USERS)
        lat, lng = random.uniform(0, 100), random.uniform(0, 100)
        position = f'{{"userId":{user},"lat":{lat},"lng":{lng}}}'
        await connections[user].send(position)
        for follower in {user, max(user - 1, 0)}:
            expected[follower].append((user, position))

    wrong = 0
    for user, connection in enumerate(connections):
        received = [await connection.recv() for _ in expected[user]]
        for runner in (user, user + 1):
            sent = [position for sender, position in expected[user] if sender == runner]
            got = [text for text in received if json.loads(text)["userId"] == runner]
            wrong += sent != got
        # Nothing more may come before the pong.
        pong = await connection.ping()
        more = asyncio.ensure_future(connection.recv())
        await asyncio.wait({asyncio.ensure_future(asyncio.shield(pong)), more}, return_when=asyncio.FIRST_COMPLETED)
        wrong += more.done()
        more.cancel()
        await connection.close()
    deliveries = sum(map(len, expected))
    print(f"{deliveries} deliveries, {wrong} connections or runners wrong")
    return wrong == 0


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(asyncio.wait_for(main(sys.argv[1]), TIMEOUT_S)) else 1)
