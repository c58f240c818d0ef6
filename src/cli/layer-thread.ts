import { parentPort } from "node:worker_threads";
import { type Job, type Numbered, runLayerJob } from "../store/archive/build-layer.js";

/** What a thread does that builds layers: the jobs it is sent. */
export function layerThread(): void {
  parentPort?.on("message", (job: Numbered<Job>) => {
    // What is no StoreError is a bug: it ends the thread, and whoever waits for it hears of that.
    void runLayerJob(job, (message) => parentPort?.postMessage(message));
  });
}
