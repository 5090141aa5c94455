"""Compressing with gzip on all cores: one ordinary gzip member whose blocks do not depend on each other.

Source: RFC 1951 and 1952; Adler's pigz compresses the same way.
"""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

_LEVEL = 3
_BLOCK = 1 << 20
_BLOCKS_AT_A_TIME = 64
"""Bounds the memory."""

_HEADER = b"\x1f\x8b\x08" + bytes(5) + b"\x00\xff"
"""Deflate, no name, no time: equal contents make equal files."""

_LAST_BLOCK = b"\x03\x00"
"""An empty block that says it is the last one."""


def compress_gzip(source: BinaryIO, target: BinaryIO) -> None:
    """Write what `source` holds to `target` as gzip, the same bytes whatever the number of cores."""
    target.write(_HEADER)
    checksum = length = 0
    with ThreadPoolExecutor() as threads:
        while blocks := _some_blocks(source):
            for block, compressed in zip(blocks, threads.map(_compressed, blocks), strict=True):
                checksum, length = zlib.crc32(block, checksum), length + len(block)
                target.write(compressed)
    target.write(_LAST_BLOCK + struct.pack("<II", checksum, length % 2**32))


def _some_blocks(source: BinaryIO) -> list[bytes]:
    return [block for _ in range(_BLOCKS_AT_A_TIME) if (block := source.read(_BLOCK))]


def _compressed(block: bytes) -> bytes:
    """A block that ends at a whole byte, so that the next one can follow."""
    compressor = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)
