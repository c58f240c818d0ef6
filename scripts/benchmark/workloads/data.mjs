/** Bytes in big files. */
import { join } from "node:path";

export function data(sizes) {
  const { bigMiB, random } = sizes;
  const sequentialRead = (p) => p.shell("dd if=big of=/dev/null bs=128k status=none");
  const writeFile = (mebibytes) => (p) =>
    p.shell(`dd if=/dev/zero of=written bs=128k count=${mebibytes * 8} status=none`);
  const removeWritten = (p) => p.shell("rm -f written");
  const firstWrite = "dd if=/dev/zero of=big bs=4k count=1 conv=notrunc status=none";
  const times = `${random.toLocaleString("en")} × 4 KiB`;
  return [
    {
      name: "read-seq-cold",
      title: `sequential read of ${bigMiB} MiB, cold`,
      table: true,
      prepare: (p) => p.cool(),
      measure: sequentialRead,
    },
    {
      name: "read-seq-warm",
      title: "sequential read of it, warm",
      table: true,
      prepare: sequentialRead,
      measure: sequentialRead,
    },
    {
      name: "write-seq",
      title: `sequential write of ${bigMiB} MiB`,
      table: true,
      measure: writeFile(bigMiB),
      clean: removeWritten,
    },
    {
      name: "read-random",
      title: `random read, ${times}`,
      table: true,
      files: () => random,
      prepare: writeFile(64),
      measure: (p) => p.client("randomRead", join(p.root, "written"), random),
      clean: removeWritten,
    },
    {
      name: "write-random",
      title: `random write, ${times}`,
      table: true,
      files: () => random,
      prepare: writeFile(64),
      measure: (p) => p.client("randomWrite", join(p.root, "written"), random),
      clean: removeWritten,
    },
    {
      name: "first-write",
      title: `first write to a lower file of ${bigMiB} MiB`,
      table: true,
      prepare: (p) => p.warmLayers(),
      measure: (p) => p.shell(firstWrite),
    },
    {
      name: "stall",
      title: "longest stall of others during that",
      table: true,
      prepare: (p) => p.warmLayers(),
      measure: (p) => p.beside(["longestStall", p.root, p.lists.all], firstWrite),
    },
  ];
}
