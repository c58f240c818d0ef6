/** What `cowfs mount --help` says after its flags. */
export const mountHelp = `
Mount options (-o), all of them in docs/cli.md:
  Layers
    lowerdir=A:B upperdir=A workdir=A   as --lower, --upper, --work; \\: is a colon in a path, \\, a comma
    lowerdir+=A datadir+=A              one layer more; one more that only holds the data of metacopies
  The mount
    ro rw                               read-only or not
    suid nosuid dev nodev exec noexec   as in mount(8); so are sync, dirsync, nodiratime, nosymfollow
    allow_other                         other users may use it (as root they may)
    fsname=NAME                         what mount tables call its source
  What is written to the upper
    redirect_dir=on|follow|nofollow|off renaming a lower directory: by a redirect (on), or EXDEV; nofollow: none is followed; off: follow
    metacopy=on|off                     chmod, chown and their like copy no data (on)
    index=on|off                        hard links of a lower file stay together over copy-up (on)
    whiteout=FORMAT userxattr           as --whiteout; marks are user. attributes
    volatile strict                     as --volatile, as --strict
    fsync=auto|strict|volatile          strict: a copy of a lower file is synced before it is used (auto)
    verity=off|on|require               whether data must have the fs-verity digest that their metacopy names (off)
  Whose files are
    uidmapping=D:S:N gidmapping=D:S:N   N ids from D on, on the disk, are shown as those from S on
    squash_to_root squash_to_uid=ID squash_to_gid=ID   everything is shown to belong to root, or to them
    xattr_permissions=0|1|2             owner and mode are kept in attributes: security. (1), user.containers. (2)
  Speed
    io=cached|passthrough|auto          as --io
    lower_passthrough=SIZE|off          from which size on io=auto passes lower files through (off; 16m without an upper)
    timeout=SECONDS                     how long the kernel trusts names and attributes (for ever)
    spin=MICROSECONDS                   how long to wait for a request without sleeping (100)
    idle_poll=auto|on|off               idle CPUs stay awake while requests keep coming (auto: on some virtual machines)
    debug                               as --debug
    remount                             changes ro, rw, nosuid, nodev, noexec … of the mount that is there
  Of overlayfs, without effect here
    xino=off|auto|on nfs_export=off|on uuid=auto|null|on|off override_creds nooverride_creds

  cowfs mount --lower /base --upper /changes /mnt           as root
  unshare -Urm sh -c 'cowfs mount --lower base --upper changes merged && exec sh'   as any user`;
