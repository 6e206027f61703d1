"""A client of the pipe protocol in ten lines: it unpacks, and says of all else that it is not there."""

import sys

for operation, *words in map(str.split, sys.stdin):
    answer = ["?"]
    if operation == "unpack":
        k, n, layout, *packed = (int(word, 16) for word in words)
        size = len(packed) // n
        streams = [int.from_bytes(packed[j * size : (j + 1) * size], "little") for j in range(n)]
        codes = [(row % 2, stream >> (row // 2 * (8 - layout))) for stream in streams for row in range(k)]
        answer = [f"{((code & 7) ^ 4) - 4 & 255 if odd else (code >> 3 & 15 ^ 8) - 8 & 255:02X}" for odd, code in codes]
    print(*answer, flush=True)
