"""port-zero.py NAME ADDRESS...: asks each address for NAME's PTR by mDNS, from UDP port 0, which no socket can have."""
import socket
import struct
import sys

name, addresses = sys.argv[1], sys.argv[2:]
labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
query = struct.pack(">6H", 7, 0, 1, 0, 0, 0) + labels + struct.pack(">HH", 12, 1)
packet = struct.pack(">4H", 0, 5353, 8 + len(query), 0) + query
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
for address in addresses:
    raw.sendto(packet, (address, 5353))
