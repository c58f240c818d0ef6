/** Where a thread begins that builds layers: a bundle of its own, which is loaded in a tenth of the time that the whole program takes. */
import { parentPort } from "node:worker_threads";
import { type Job, type Numbered, runLayerJob } from "../store/archive/build-layer.js";

/** Does the jobs that the thread is sent. True: no other bundle is needed. */
export async function entry(): Promise<boolean> {
  parentPort?.on("message", (job: Numbered<Job>) => {
    // What is no StoreError is a bug: it ends the thread, and whoever waits for it hears of that.
    void runLayerJob(job, (message) => parentPort?.postMessage(message));
  });
  return true;
}
