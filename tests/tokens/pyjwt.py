"""The other implementation's side: PyJWT with cryptography.

Usage: pyjwt.py mint ALGORITHM KEY_FILE CLAIMS    the token on stdout
       pyjwt.py verify ALGORITHM KEY_FILE         the token on stdin, its claims on stdout
"""

import json
import sys

import jwt


def main(action, algorithm, key_file, *claims):
    with open(key_file) as file:
        key = file.read().rstrip("\n")
    if action == "mint":
        print(jwt.encode(json.loads(claims[0]), key, algorithm))
    else:
        token = sys.stdin.read().strip()
        options = {"require": ["sub", "exp"]}
        print(json.dumps(jwt.decode(token, key, [algorithm], options, audience="map", issuer="backend")))


if __name__ == "__main__":
    main(*sys.argv[1:])
