"""System calls: what kind of activity each is, by the numbers that records have (Linux 6, three architectures)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAMES: Final = {
    "execve": "execve execveat",
    "ptrace": "ptrace process_vm_writev",
    "write": "open openat openat2 creat truncate ftruncate write rename renameat renameat2 unlink unlinkat mkdir "
    "mkdirat rmdir link linkat symlink symlinkat mknod mknodat",
    "attribute": "chmod fchmod fchmodat chown fchown lchown fchownat chown32 fchown32 lchown32 setxattr lsetxattr "
    "fsetxattr removexattr lremovexattr fremovexattr",
    "time": "adjtimex settimeofday clock_settime stime",
    "module": "init_module finit_module delete_module",
    "mount": "mount umount umount2",
}
_CATEGORIES: Final = {name: category for category, names in _NAMES.items() for name in names.split()}

_X86_64: Final = (
    "execve:59 execveat:322 ptrace:101 process_vm_writev:311 open:2 openat:257 openat2:437 creat:85 truncate:76 "
    "ftruncate:77 write:1 rename:82 renameat:264 renameat2:316 unlink:87 unlinkat:263 mkdir:83 mkdirat:258 rmdir:84 "
    "link:86 linkat:265 symlink:88 symlinkat:266 mknod:133 mknodat:259 chmod:90 fchmod:91 fchmodat:268 chown:92 "
    "fchown:93 lchown:94 fchownat:260 setxattr:188 lsetxattr:189 fsetxattr:190 removexattr:197 lremovexattr:198 "
    "fremovexattr:199 adjtimex:159 settimeofday:164 clock_settime:227 init_module:175 finit_module:313 "
    "delete_module:176 mount:165 umount2:166"
)
_I386: Final = (
    "execve:11 execveat:358 ptrace:26 process_vm_writev:348 open:5 openat:295 openat2:437 creat:8 truncate:92 "
    "ftruncate:93 write:4 rename:38 renameat:302 renameat2:353 unlink:10 unlinkat:301 mkdir:39 mkdirat:296 rmdir:40 "
    "link:9 linkat:303 symlink:83 symlinkat:304 mknod:14 mknodat:297 chmod:15 fchmod:94 fchmodat:306 chown:182 "
    "fchown:95 lchown:16 fchownat:298 chown32:212 fchown32:207 lchown32:198 setxattr:226 lsetxattr:227 fsetxattr:228 "
    "removexattr:235 lremovexattr:236 fremovexattr:237 adjtimex:124 settimeofday:79 clock_settime:264 stime:25 "
    "init_module:128 finit_module:350 delete_module:129 mount:21 umount:22 umount2:52"
)
_AARCH64: Final = (
    "execve:221 execveat:281 ptrace:117 process_vm_writev:271 openat:56 openat2:437 truncate:45 ftruncate:46 write:64 "
    "renameat:38 renameat2:276 unlinkat:35 mkdirat:34 linkat:37 symlinkat:36 mknodat:33 fchmod:52 fchmodat:53 "
    "fchown:55 fchownat:54 setxattr:5 lsetxattr:6 fsetxattr:7 removexattr:14 lremovexattr:15 fremovexattr:16 "
    "adjtimex:171 settimeofday:170 clock_settime:112 init_module:105 finit_module:273 delete_module:106 mount:40 "
    "umount2:39"
)


def _by_number(table: str) -> Mapping[str, str]:
    return {number: name for name, _, number in (entry.partition(":") for entry in table.split())}


_NUMBERS: Final = {
    "c000003e": _by_number(_X86_64),
    "40000003": _by_number(_I386),
    "c00000b7": _by_number(_AARCH64),
}
_FLAGS_AT: Final = {"open": "a1", "openat": "a2"}
_WRITING: Final = 0o3 | 0o100 | 0o1000
"""O_WRONLY, O_RDWR, O_CREAT and O_TRUNC, which have these values on all three."""


def category_of(fields: Mapping[str, str], name: str) -> str:
    """Return what kind of activity a system call is: ``read`` for a file opened to be read, ``syscall`` for others.

    :param fields: of the record SYSCALL, with ``arch``, ``syscall`` and the arguments ``a0`` to ``a3``.
    :param name: of the call where the sender has added it, else empty.
    """
    number = fields.get("syscall", "")
    name = name or _NUMBERS.get(fields.get("arch", "").lower(), {}).get(number, number)
    if name in _FLAGS_AT:
        flags = fields.get(_FLAGS_AT[name], "")
        try:
            return "write" if not flags or int(flags, 16) & _WRITING else "read"
        except ValueError:
            return "write"
    return _CATEGORIES.get(name, "syscall")
