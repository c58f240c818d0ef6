import { describe, expect, test } from "vitest";
import type { MountSpec } from "../../store/records.js";
import { collectSpecs } from "./collect.js";
import { parseMountFlag } from "./mount-flag.js";
import { parseSize } from "./size.js";
import { SpecError } from "./spec-error.js";
import { parseTmpfsFlag } from "./tmpfs-flag.js";
import { parseVolumeFlag } from "./volume-flag.js";
import { parseVolumesFrom } from "./volumes-from.js";

const here = { cwd: "/work", home: "/home/u" };

/** The error of a parser; it must be one for the user. */
function errorOf(parse: () => unknown): string {
  try {
    return `no error: ${JSON.stringify(parse())}`;
  } catch (error) {
    expect(error).toBeInstanceOf(SpecError);
    return (error as Error).message;
  }
}

describe("-v", () => {
  const volume = { type: "volume", readOnly: false, origin: "volume" };
  const bind = { type: "bind", readOnly: false, origin: "volume", createSource: true };
  test.each<[string, object]>([
    ["/data", { ...volume, target: "/data" }],
    ["/data/../x//y/", { ...volume, target: "/x/y" }],
    ["db:/data", { ...volume, source: "db", target: "/data" }],
    ["db:/data:ro", { ...volume, source: "db", target: "/data", readOnly: true }],
    ["db:/data:rw,nocopy", { ...volume, source: "db", target: "/data", noCopy: true }],
    ["db:/data:Z,cached", { ...volume, source: "db", target: "/data" }],
    ["/host:/data", { ...bind, source: "/host", target: "/data" }],
    ["./a/./b:/data", { ...bind, source: "/work/a/b", target: "/data" }],
    ["..:/data", { ...bind, source: "/work/..", target: "/data" }],
    ["~:/data", { ...bind, source: "/home/u", target: "/data" }],
    ["~/x:/data:ro,rslave,z", { ...bind, source: "/home/u/x", target: "/data", readOnly: true, propagation: "rslave" }],
    ["/host:/data:shared,delegated", { ...bind, source: "/host", target: "/data", propagation: "shared" }],
    ["ro:/ro", { ...volume, source: "ro", target: "/ro" }],
  ])("%s", (text, spec) => {
    expect(parseVolumeFlag(text, here)).toEqual(spec);
  });

  test.each([
    ["", "invalid empty volume spec"],
    [":", "invalid spec: :: empty section between colons"],
    [":/x", "invalid spec: :/x: empty section between colons"],
    ["a::/x", "invalid spec: a::/x: empty section between colons"],
    ["ab:/x:", "invalid spec: ab:/x:: empty section between colons"],
    ["a:b:c:d", "invalid spec: a:b:c:d: too many colons"],
    ["/x:ro", "invalid volume specification: '/x:ro'"],
    ["db:rw,z", "invalid volume specification: 'db:rw,z'"],
    ["/", "invalid volume specification: '/': invalid specification: destination can't be '/'"],
    ["db:/../", "invalid volume specification: 'db:/../': invalid specification: destination can't be '/'"],
    ["db:x", "invalid volume specification: 'db:x': invalid mount path: 'x' mount path must be absolute"],
    ["x", "invalid volume specification: 'x': invalid mount path: 'x' mount path must be absolute"],
    ["db:/x:what", "invalid volume specification: 'db:/x:what': invalid mode: what"],
    ["db:/x:ro,rw", "invalid volume specification: 'db:/x:ro,rw': invalid mode: ro,rw"],
    ["db:/x:ro,", "invalid volume specification: 'db:/x:ro,': invalid mode: ro,"],
    ["db:/x:z,Z", "invalid volume specification: 'db:/x:z,Z': invalid mode: z,Z"],
    ["/h:/x:shared,rslave", "invalid volume specification: '/h:/x:shared,rslave': invalid mode: shared,rslave"],
    [
      "db:/x:cached,consistent",
      "invalid volume specification: 'db:/x:cached,consistent': invalid mode: cached,consistent",
    ],
    ["db:/x:rslave", "invalid volume specification: 'db:/x:rslave': invalid mode: rslave"],
    ["/h:/x:nocopy", "invalid volume specification: '/h:/x:nocopy': invalid mode: nocopy"],
  ])("%j is refused", (text, message) => {
    expect(errorOf(() => parseVolumeFlag(text, here))).toBe(message);
  });

  test.each(["a", "_a", "a b", "a/b", "ä1"])("the name %j is refused, and what is allowed is said", (name) => {
    const message = errorOf(() => parseVolumeFlag(`${name}:/x`, here));
    expect(message).toContain(`the volume name ${JSON.stringify(name)} is invalid`);
    expect(message).toContain("a-z A-Z 0-9 _ . -");
  });
});

describe("--mount", () => {
  const common = { readOnly: false, origin: "mount" };
  test.each<[string, object]>([
    ["target=/x", { ...common, type: "volume", target: "/x" }],
    [
      "type=volume,src=db,dst=/x,volume-nocopy",
      { ...common, type: "volume", source: "db", target: "/x", noCopy: true },
    ],
    [
      "TYPE=volume,SOURCE=db,Destination=/x,ro",
      { ...common, type: "volume", source: "db", target: "/x", readOnly: true },
    ],
    [
      'target=/x,volume-label=a=b=c,volume-label=d,volume-driver=local,"volume-opt=o=uid=1,gid=2",volume-subpath=s/t',
      {
        ...common,
        type: "volume",
        target: "/x",
        labels: { a: "b=c", d: "" },
        driver: "local",
        driverOptions: { o: "uid=1,gid=2" },
        subpath: "s/t",
      },
    ],
    [
      "type=bind,source=/h,target=/x,readonly=1",
      { ...common, type: "bind", source: "/h", target: "/x", readOnly: true },
    ],
    ['type=bind,"source=/a,b ""c""",target=/x', { ...common, type: "bind", source: '/a,b "c"', target: "/x" }],
    [
      "type=bind,source=./h,target=/x,bind-propagation=rshared,bind-recursive=disabled,bind-create-src,consistency=cached",
      {
        ...common,
        type: "bind",
        source: "/work/h",
        target: "/x",
        propagation: "rshared",
        recursive: "disabled",
        createSource: true,
      },
    ],
    [
      "type=bind,src=/h,dst=/x,ro,bind-recursive=readonly,bind-propagation=rprivate",
      {
        ...common,
        type: "bind",
        source: "/h",
        target: "/x",
        readOnly: true,
        propagation: "rprivate",
        recursive: "readonly",
      },
    ],
    [
      "type=tmpfs,dst=/x,tmpfs-size=64m,tmpfs-mode=1770",
      { ...common, type: "tmpfs", target: "/x", tmpfsOptions: ["size=67108864", "mode=1770"] },
    ],
    [
      "type=image,src=busybox,dst=/x,image-subpath=bin",
      { ...common, type: "image", source: "busybox", target: "/x", readOnly: true, subpath: "bin" },
    ],
    ["target=/x,readonly=false,volume-nocopy=0", { ...common, type: "volume", target: "/x" }],
  ])("%s", (text, spec) => {
    expect(parseMountFlag(text, here)).toEqual(spec);
  });

  test.each([
    ["", "value is empty"],
    ["target=/x,k=v", "unknown option 'k' in 'k=v'"],
    ["target=/x,k", "invalid field 'k' must be a key=value pair"],
    ["target", "invalid field 'target' must be a key=value pair"],
    ["target=/x,", "invalid field '' must be a key=value pair"],
    ["target=/x, ro", "invalid option ' ro' in ' ro': option should not have whitespace"],
    ["target =/x", "invalid option 'target ' in 'target =/x': option should not have whitespace"],
    ["target= /x", "invalid value for 'target' in 'target= /x': value should not have whitespace"],
    ["target=", "invalid value for 'target' in 'target=': value is empty"],
    [
      "target=/x,type=foo",
      `invalid mount config for type "foo": mount type unknown: use one of bind, volume, tmpfs, image`,
    ],
    ["type=volume", "target is required"],
    ["type=bind,target=/x", `invalid mount config for type "bind": field Source must not be empty`],
    ["type=image,target=/x", `invalid mount config for type "image": field Source must not be empty`],
    ["type=tmpfs,source=/h,target=/x", `invalid mount config for type "tmpfs": field Source must not be specified`],
    [
      "type=bind,source=h,target=/x",
      `invalid mount config for type "bind": invalid mount path: 'h' mount path must be absolute`,
    ],
    ["target=x", "invalid mount path: 'x' mount path must be absolute"],
    ["target=/", "invalid specification: destination can't be '/'"],
    ["target=/x,bind-propagation=private", "cannot mix 'bind-*' options with mount type 'volume'"],
    ["target=/x,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'volume'"],
    ["type=bind,src=/h,dst=/x,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"],
    ["type=tmpfs,dst=/x,image-subpath=a", "cannot mix 'image-*' options with mount type 'tmpfs'"],
    [
      "target=/x,readonly=yes",
      `invalid value for 'readonly' in 'readonly=yes': invalid boolean value: must be one of "true", "1", "false", or "0"`,
    ],
    [
      "type=bind,src=/h,dst=/x,bind-propagation=none",
      "invalid value for 'bind-propagation' in 'bind-propagation=none': must be one of private, rprivate, shared, rshared, slave, rslave",
    ],
    [
      "type=bind,src=/h,dst=/x,bind-recursive=no",
      "invalid value for 'bind-recursive' in 'bind-recursive=no': must be one of enabled, disabled, writable, readonly",
    ],
    [
      "type=bind,src=/h,dst=/x,bind-recursive=readonly",
      "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
    ],
    [
      "type=bind,src=/h,dst=/x,ro,bind-recursive=readonly",
      "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
    ],
    [
      "type=tmpfs,dst=/x,tmpfs-size=big",
      "invalid value for 'tmpfs-size' in 'tmpfs-size=big': it is no size: a number of bytes, or with k, m or g",
    ],
    ["type=tmpfs,dst=/x,tmpfs-mode=9", "invalid value for 'tmpfs-mode' in 'tmpfs-mode=9': it is no octal mode"],
    [
      "dst=/x,volume-subpath=../y",
      `invalid mount config for type "volume": subpath must be a relative path within the volume`,
    ],
    ['target=/x,"ro', `parse error on 'target=/x,"ro': a '"' stands alone, or inside a field without quotes`],
    ['target=/x,r"o', `parse error on 'target=/x,r"o': a '"' stands alone, or inside a field without quotes`],
  ])("%j is refused", (text, message) => {
    expect(errorOf(() => parseMountFlag(text, here))).toBe(message);
  });
});

test("--tmpfs", () => {
  const common = { type: "tmpfs", origin: "tmpfs", readOnly: false };
  expect(parseTmpfsFlag("/x")).toEqual({ ...common, target: "/x", tmpfsOptions: [] });
  expect(parseTmpfsFlag("/x:rw,size=100m,mode=1777,exec")).toEqual({
    ...common,
    target: "/x",
    tmpfsOptions: ["rw", "size=100m", "mode=1777", "exec"],
  });
  expect(parseTmpfsFlag("/x:ro")).toMatchObject({ readOnly: true });
  expect(errorOf(() => parseTmpfsFlag("x"))).toBe("invalid mount path: 'x' mount path must be absolute");
  expect(errorOf(() => parseTmpfsFlag("/"))).toBe("invalid specification: destination can't be '/'");
  for (const option of ["size", "size=x", "mode=9", "foo", "constructor=1", "bind"]) {
    expect(errorOf(() => parseTmpfsFlag(`/x:${option}`))).toBe(`invalid tmpfs option '${option}'`);
  }
});

test("--volumes-from", () => {
  expect(parseVolumesFrom("db")).toEqual({ container: "db", readOnly: false });
  expect(parseVolumesFrom("db:ro")).toEqual({ container: "db", readOnly: true });
  expect(errorOf(() => parseVolumesFrom(""))).toBe("volumes-from specification cannot be an empty string");
  expect(errorOf(() => parseVolumesFrom(":ro"))).toBe("malformed volumes-from specification: :ro");
  expect(errorOf(() => parseVolumesFrom("db:z"))).toBe("invalid mode: z");
});

describe("all mounts of a container", () => {
  const other: readonly MountSpec[] = [
    { type: "bind", source: "/h", target: "/bind", readOnly: false, origin: "volume", createSource: true },
    { type: "volume", source: "vol", target: "/vol", readOnly: true, origin: "mount" },
    { type: "tmpfs", target: "/tmpfs", readOnly: false, origin: "tmpfs" },
  ];
  const context = { ...here, mountsOf: () => other };
  const targets = (specs: readonly MountSpec[]): string[] => specs.map(({ target, origin }) => `${target} ${origin}`);

  test("the command line beats volumes-from, which beats VOLUME; the deeper one comes later", () => {
    const specs = collectSpecs(
      { volumesFrom: ["c"], volumes: ["x1:/a/b/c", "x2:/vol"], mounts: ["dst=/a"], tmpfs: ["/a/b"] },
      { ...context, imageVolumes: ["/bind/", "/a", "/own", "/vol"] },
    );
    expect(targets(specs)).toEqual([
      "/bind volumes-from",
      "/vol volume",
      "/a mount",
      "/own image",
      "/a/b tmpfs",
      "/a/b/c volume",
    ]);
  });

  test("volumes-from: written only where both allow it, nothing copied", () => {
    expect(collectSpecs({ volumesFrom: ["c"] }, context)).toMatchObject([
      { target: "/bind", readOnly: false },
      { target: "/vol", readOnly: true, noCopy: true },
    ]);
    expect(collectSpecs({ volumesFrom: ["c:ro"] }, context)).toMatchObject([{ readOnly: true }, { readOnly: true }]);
  });

  test.each([
    { volumes: ["ab:/x", "cd:/x/"] },
    { volumes: ["/x"], mounts: ["dst=/x"] },
    { mounts: ["dst=/x"], tmpfs: ["/x"] },
  ])("two of one target: %j", (flags) => {
    expect(errorOf(() => collectSpecs(flags, context))).toBe("Duplicate mount point: /x");
  });
});

test("sizes that people write", () => {
  expect(["4096", "64k", "1.5GB", "64KiB", "1 M", "x", "-1", ""].map(parseSize)).toEqual([
    4096,
    65536,
    1.5 * 1024 ** 3,
    65536,
    1024 ** 2,
    undefined,
    undefined,
    undefined,
  ]);
});
