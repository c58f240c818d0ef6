/**
 * The result of an operation that must wait for a job (`Union.parkedOn`): the request is kept and dispatched again from
 * its start when the job has ended. Outside the range of error numbers, so that no caller mistakes it for one.
 */
export const PARK = -100000;
