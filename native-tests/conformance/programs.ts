import { file, hard, link } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const programs: readonly Theme[] = [
  {
    title: "Programs",
    cases: [
      {
        name: "execution of lower and copied-up programs, scripts and by descriptor",
        lowers: [{ "run.sh": file("#!/bin/sh\necho ran $1", { mode: 0o755 }) }],
        prepare: "cp /bin/echo echo",
        steps: `
          exec echo hello -> "0 hello"
          exec run.sh x -> "0 ran x"
          chmod echo 0711
          exec echo again -> "0 again"
          p = open echo O_RDONLY
          fexec $p x -> 0
          rename echo echo2
          exec echo2 moved -> "0 moved"
          remount
          exec echo2 still -> "0 still"
        `,
      },
      {
        name: "ETXTBSY: a program that runs is not written, a file open for writing does not run",
        overlay: "a program that runs from the lower layer may be written: the write goes to a copy",
        lowers: [{}],
        prepare: "cp /bin/sleep sleep; cp /bin/true true",
        steps: `
          p = spawn sleep 100
          open sleep O_WRONLY -> ETXTBSY
          truncate sleep 0 -> ETXTBSY
          rename sleep sleep2
          open sleep2 O_RDWR -> ETXTBSY
          stop $p
          opens sleep2 O_RDWR
          w = open true O_WRONLY
          exec true -> ETXTBSY
          close $w
          exec true -> "0 "
        `,
      },
      {
        name: "a program replaced while it runs",
        lowers: [{}],
        prepare: "cp /bin/sleep sleep; cp /bin/true new",
        steps: `
          p = spawn sleep 100
          rename new sleep
          exec sleep -> "0 "
          sh "kill -0 $p && readlink /proc/$p/exe | grep -c 'sleep (deleted)'" -> "0 1"
          stop $p
        `,
      },
      {
        name: "git: a repository of the lower layer",
        lowers: [{}],
        prepare: `git init -q r && cd r && git config user.email a@b && git config user.name a && git config gc.auto 0 && for i in 1 2 3; do mkdir d$i; seq 100 >d$i/f; done && git add -A && git commit -qm one && git gc -q && git repack -adq`,
        steps: `
          sh "cd r && git status --porcelain | wc -l" -> "0 0"
          sh "cd r && git mv d1 e1 && echo x >>d2/f && git commit -qam two && git status --porcelain | wc -l" -> "0 0"
          sh "cd r && git checkout -q HEAD~1 && ls && git checkout -q - && ls" -> "0 d1\\nd2\\nd3\\nd2\\nd3\\ne1"
          sh "cd r && git fsck --no-progress && git rev-list --count HEAD" -> ?
          remount
          sh "cd r && git stash list; git gc -q; git fsck --no-progress; git status --porcelain | wc -l" -> ?
        `,
        tree: "none",
      },
      {
        name: "rsync -aHAX into the mount, twice: nothing is sent the second time",
        lowers: [
          {
            "src/a": "a",
            "src/s/b": hard("src/a"),
            "src/l": link("a"),
            "src/x": file("x", { xattrs: { "user.k": "v" } }),
          },
        ],
        steps: `
          sh "rsync -aHAX src/ dst/ && rsync -aHAXi src/ dst/ | wc -l" -> "0 0"
          sh "echo more >>dst/s/b; rsync -aHAXi --checksum src/ dst/ | wc -l; cat dst/a" -> ?
          sh "rsync -a --delete src/s/ dst/; ls dst" -> "0 b"
        `,
      },
      {
        name: "tar: packed, removed, unpacked",
        complaint: "Archives made in the mount report changed files or miss some",
        lowers: [{ "t/a": "a", "t/s/b": "b", "t/l": link("a"), "t/h": hard("t/a"), "t/p": { type: "fifo" } }],
        steps: `
          append t/a +
          sh "tar cf x.tar t 2>&1; rm -r t; tar xpf x.tar 2>&1; find t | sort | tr '\\\\n' ' '" -> "0 t t/a t/h t/l t/p t/s t/s/b"
          stat t/h nlink -> 2
          cat t/h -> a+
          sh "tar df x.tar 2>&1" -> "0 "
          unlink x.tar
        `,
      },
      {
        name: "a compiler and make",
        lowers: [
          {
            "main.c": '#include "h.h"\nint main(void){return N;}\n',
            "h.h": "#define N 0\n",
            Makefile: "prog: main.c h.h\n\tcc -o prog main.c\n",
          },
        ],
        steps: `
          sh "make -s && ./prog; echo $?" -> "0 0"
          sh "sed -i s/0/7/ h.h && make -s && ./prog; echo $?" -> "0 7"
          sh "make -q && echo new" -> "0 new"
        `,
        tree: "none",
      },
      {
        name: "find, cp -a, mv, rm -rf, diff, chmod -R on a tree",
        lowers: [{ "t/a/x": "x", "t/b/y": "y", "t/b/l": link("y") }, { "t/a/z": "z" }],
        steps: `
          sh "cp -a t u && diff -r t u && mv u v && find v | wc -l" -> "0 7"
          sh "chmod -R a-w v && find v -perm /222 ! -type l | wc -l" -> "0 0"
          sh "mv v/a v/b/ && find v | sort" -> ?
          sh "rm -rf t v && ls -A" -> "0 "
        `,
      },
    ],
  },
];
