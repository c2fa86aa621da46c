/** Why a piece of configuration is not accepted. Returned, never thrown: a bad value is an expected outcome. */
export class Refusal {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}
