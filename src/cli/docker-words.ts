/** What users of docker and podman may write, and what stands for it here, or why there is nothing. */
const commands: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["load", "save", "import", "tag", "history", "build"].map((word) => [word, `it is cowfs image ${word}`]),
  ),
  images: "it is cowfs image ls",
  rmi: "it is cowfs image rm",
  df: "it is cowfs system df",
  container: "commands on containers stand without it: cowfs ps, cowfs run, cowfs rm",
  top: "cowfs exec CONTAINER ps shows its processes, if the image has a ps",
  pause: "there is none; cowfs kill -s STOP stops the first process only",
  unpause: "there is none; cowfs kill -s CONT goes on with the first process",
  pull: "there are no registries: cowfs image load and import take archives and directories",
  push: "there are no registries: cowfs image save writes an archive",
  port: "the network is the host's: ports are what programs listen on",
  network: "the network is the host's, or none: cowfs run --network none",
};

const options: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["-p", "-P", "--publish", "--publish-all", "--expose"].map((word) => [
      word,
      "the network is the host's: ports need not be published",
    ]),
  ),
  ...Object.fromEntries(
    ["-m", "--memory", "--cpus", "--cpu-shares", "--pids-limit", "--ulimit"].map((word) => [word, "no limits are set"]),
  ),
  ...Object.fromEntries(
    ["--privileged", "--cap-add", "--cap-drop", "--security-opt", "--device"].map((word) => [
      word,
      "capabilities and devices are always those that Docker gives by default",
    ]),
  ),
  "--restart": "no daemon watches over containers: use systemd",
  "--pull": "there are no registries",
};

/** A message about a word that is not known, with what helps; as it is if nothing does. */
export function withHint(message: string): string {
  const command = /unknown command '([^']+)'/.exec(message)?.[1] ?? "";
  const option = /unknown option '([^'=]+)[^']*'/.exec(message)?.[1] ?? "";
  const hint = Object.hasOwn(commands, command)
    ? commands[command]
    : Object.hasOwn(options, option)
      ? options[option]
      : undefined;
  return hint === undefined ? message : `${message.replace(/\s*\(Did you mean [^)]*\)/, "")}: ${hint}`;
}
