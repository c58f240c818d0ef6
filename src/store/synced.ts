import { errnoName } from "../errno.js";
import { O_DIRECTORY, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { StoreError } from "./error.js";

/**
 * Does `work`, and brings to the disk what it wrote, with all else that waits in the file system of `directory`. The descriptor is opened before: so
 * syncfs(2) tells it of each page that could not be written since, whenever and by whomever that was tried. Throws StoreError.
 */
export async function synced<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const fd = native.openFollow(Buffer.from(directory, "utf8").toString("latin1"), O_RDONLY | O_DIRECTORY);
  if (fd < 0) throw new StoreError(`${directory} cannot be opened: ${errnoName(fd)}`);
  try {
    const done = await work();
    const result = native.syncfs(fd);
    if (result < 0) throw new StoreError(`a layer cannot be brought to the disk: ${errnoName(result)}`);
    return done;
  } finally {
    native.close(fd);
  }
}
