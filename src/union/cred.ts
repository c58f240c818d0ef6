/** Whom a new object belongs to: the caller's fsuid and fsgid. One object a session, filled for each request. */
export interface Cred {
  uid: number;
  gid: number;
}
