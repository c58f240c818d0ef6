import { parentPort } from "node:worker_threads";
import { type Job, runLayerJob } from "../store/archive/build-layer.js";

/** What a thread does that builds layers: the jobs it is sent, one after the other. */
export function layerThread(): void {
  parentPort?.on("message", (job: Job) => {
    // What is no StoreError is a bug: it ends the thread, and whoever waits for it hears of that.
    void runLayerJob(job, (message) => parentPort?.postMessage(message));
  });
}
