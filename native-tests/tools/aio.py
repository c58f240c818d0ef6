"""Asynchronous direct writes to the file argv[1], argv[2] times all of it, while others read it through the cache: each block must be read as it was written."""

import ctypes
import mmap
import os
import signal
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)


def call(*words):
    r = libc.syscall(*words)
    if r < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    return r


count, size = 64, 16384
path = sys.argv[1]
fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
os.ftruncate(fd, count * size)
check = os.open(path, os.O_RDONLY)
readers = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        mine = os.open(path, os.O_RDONLY)
        while True:
            for at in range(count):
                os.pread(mine, size, at * size)
    readers.append(child)
memory = mmap.mmap(-1, count * size)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
context = ctypes.c_ulong(0)
# io_setup, io_submit, io_getevents
numbers = (206, 209, 208) if os.uname().machine == 'x86_64' else (0, 2, 4)
call(numbers[0], count, ctypes.byref(context))
events = ctypes.create_string_buffer(32 * count)
stale = 0
for pattern in range(int(sys.argv[2])):
    blocks = [bytes([(pattern + i) % 256]) * size for i in range(count)]
    memory[:] = b''.join(blocks)
    # struct iocb, of IOCB_CMD_PWRITE
    control = [ctypes.create_string_buffer(struct.pack('=QIiHhIQQqQII', i, 0, 0, 1, 0, fd, address + i * size, size, i * size, 0, 0, 0), 64) for i in range(count)]
    pointers = (ctypes.c_void_p * count)(*[ctypes.addressof(one) for one in control])
    submitted = 0
    while submitted < count:
        submitted += call(numbers[1], context, count - submitted, ctypes.byref(pointers, submitted * 8))
    done = 0
    while done < count:
        got = call(numbers[2], context, 1, count, events, None)
        for i in range(got):
            block, _, result, _ = struct.unpack_from('=QQqq', events, i * 32)
            assert result == size, result
            if os.pread(check, size, block * size) != blocks[block]:
                stale += 1
        done += got
for child in readers:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(stale, 'stale')
