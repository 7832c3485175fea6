"""Programs that misbehave, by the name that they are started with."""

import os
import struct
import subprocess
import sys
import time

HEADER = struct.Struct("<4sHBBQQ8s")
ONE = struct.pack("<f4x", 1.0)
ins, outs = sys.stdin.buffer, sys.stdout.buffer


def request():
    """The next request, or None at the end."""
    head = ins.read(32)
    if len(head) < 32:
        return None
    _, _, kind, _, number, size, _ = HEADER.unpack(head)
    return kind, number, ins.read(size)


def answer(number, body, *, claimed=None, status=0, canary=ONE, version=1, magic=b"LXAN"):
    outs.write(HEADER.pack(magic, version, status, 4, number, len(body) if claimed is None else claimed, canary))
    outs.write(body)
    outs.flush()


def hello():
    _, number, _ = request()
    answer(number, b"layout torch")


def output_size(body):
    """Bytes of y, h_n and c_n of a case of one layer and direction, with the flags before them."""
    batch, steps, _, hidden = struct.unpack_from("<4Q", body, 8)
    return 8 + 4 * (batch * steps * hidden + 2 * batch * hidden)


def asked():
    """The first case: its number, and the size of a right answer."""
    hello()
    _, number, body = request()
    return number, output_size(body)


def stay():
    time.sleep(100)


def flood(stream):
    while True:
        stream.write(b"x" * 65536)


def hang():
    asked()
    stay()


def hang_at_start():
    stay()


def never_reads():
    os.close(0)
    stay()


def flood_stdout():
    flood(outs)


def flood_after_answer():
    number, size = asked()
    answer(number, bytes(size))
    flood(outs)


def flood_stderr():
    flood(sys.stderr.buffer)


def crash():
    asked()
    sys.stderr.write("assertion failed: width\n")
    sys.stderr.flush()
    os.abort()


def ends():
    asked()


def ends_at_start():
    return


def prints_first():
    outs.write(b"model loaded\n")
    outs.flush()
    number, size = asked()
    answer(number, bytes(size))
    stay()


def short():
    number, size = asked()
    answer(number, bytes(size - 4), claimed=size)


def short_then_hangs():
    number, size = asked()
    answer(number, bytes(size - 4), claimed=size)
    stay()


def long():
    number, size = asked()
    answer(number, bytes(size + 4), claimed=size)
    stay()


def wrong_sizes():
    number, _ = asked()
    answer(number, bytes(40))
    stay()


def claims_4_gb():
    number, _ = asked()
    answer(number, b"", claimed=2**32)
    stay()


def nan():
    number, size = asked()
    answer(number, bytes(8) + struct.pack("<f", float("nan")) * (size // 4 - 2))
    stay()


def other_byte_order():
    number, size = asked()
    answer(number, bytes(size), canary=struct.pack(">f4x", 1.0))
    stay()


def trickle():
    number, size = asked()
    answer(number, b"", claimed=size)
    for _ in range(size):
        outs.write(b"\0")
        outs.flush()
        time.sleep(0.1)


def wrong_number():
    number, size = asked()
    answer(number + 1, bytes(size))
    stay()


def grandchild():
    asked()
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(100)"])
    sys.stderr.write(f"grandchild {child.pid}\n")
    sys.stderr.flush()
    os._exit(3)


def closes_stdout():
    asked()
    os.close(1)
    stay()


def text():
    number, _ = asked()
    answer(number, b"there is no model", magic=b"oops")
    stay()


def other_version():
    number, size = asked()
    answer(number, bytes(size), version=2)
    stay()


def no_such_layout():
    _, number, _ = request()
    answer(number, b"layout mine")
    stay()


def unsupported():
    number, _ = asked()
    answer(number, b"projection: there is none", status=1)
    stay()


def fails():
    number, _ = asked()
    answer(number, b"out of memory", status=2)
    stay()


def crashes_at_three_steps():
    hello()
    while (asked_now := request()) is not None:
        _, number, body = asked_now
        if struct.unpack_from("<4Q", body, 8)[1] == 3:
            os.abort()
        answer(number, bytes(output_size(body)))


def one_case_each():
    """Not hostile: it ends after every case, and answers zeros."""
    number, size = asked()
    answer(number, bytes(size))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
