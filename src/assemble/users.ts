import { StoreError } from "../store/error.js";
import type { RootView } from "./root-view.js";

/** Whom a process runs as. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  readonly home: string;
}

const largestId = 0xffff_fffe;

function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= largestId ? id : undefined;
}

/** The lines of /etc/passwd or /etc/group as fields; lines that are none are passed over. */
function entries(text: string | undefined): string[][] {
  return (text ?? "")
    .split("\n")
    .map((line) => line.trim().split(":"))
    .filter((fields) => fields.length >= 3 && fields[0] !== "" && !fields[0]?.startsWith("#"));
}

/**
 * `USER[:GROUP]`, names or numbers, as the container's own /etc/passwd and /etc/group know them. A number need not be there; an empty text is
 * root. Without a group it is that of the user, and the supplementary groups are those that name him. Throws StoreError.
 */
export function resolveUser(view: RootView, text: string): ResolvedUser {
  const [userWord = "", groupWord = ""] = text.split(":", 2);
  const users = entries(view.read("/etc/passwd"));
  const groups = entries(view.read("/etc/group"));

  const wanted = userWord === "" ? "0" : userWord;
  const number = parseId(wanted);
  const entry =
    users.find(([name]) => name === wanted) ??
    (number === undefined ? undefined : users.find(([, , uid]) => parseId(uid) === number));
  const uid = entry === undefined ? number : parseId(entry[2]);
  if (uid === undefined) throw new StoreError(`unable to find user ${wanted}: no matching entries in passwd file`);
  const name = entry?.[0];
  const home = entry?.[5] || "/";

  if (groupWord !== "") {
    const gid = parseId(groups.find(([group]) => group === groupWord)?.[2]) ?? parseId(groupWord);
    if (gid === undefined) throw new StoreError(`unable to find group ${groupWord}: no matching entries in group file`);
    return { uid, gid, groups: [], home };
  }
  const memberOf = groups
    .filter(([, , , members = ""]) => name !== undefined && members.split(",").includes(name))
    .map(([, , gid]) => parseId(gid))
    .filter((gid) => gid !== undefined);
  return { uid, gid: parseId(entry?.[3]) ?? 0, groups: [...new Set(memberOf)], home };
}
