/** A step as people are told of it. */
export interface StepTitle {
  /** The name of the stage; empty if there is only one without a name. */
  readonly stage: string;
  readonly number: number;
  readonly count: number;
  readonly source: string;
}

/** What became of a step: `noted` in the configuration only. */
export type Outcome =
  | { readonly kind: "noted" }
  | { readonly kind: "cached"; readonly layer: string | undefined }
  | { readonly kind: "done"; readonly layer: string | undefined; readonly size: number };

/** Who tells people how far a build is: one step after the other. */
export interface Reporter {
  begins(step: StepTitle): void;
  /** Of the program that the step runs. */
  output(bytes: Buffer): void;
  ends(outcome: Outcome): void;
  warn(message: string): void;
}
