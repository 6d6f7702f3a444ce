// What a close code asks of a client.

/** `again`: come back after a wait; `token`: with another token; `never`: the server would say the same again. */
export type ComeBack = "again" | "token" | "never";

const NEVER = new Set([1002, 1007, 1008, 1009, 4006, 4009]);
const WITH_A_TOKEN = new Set([4001, 4002, 4004]);

export const comeBack = (code: number): ComeBack => (NEVER.has(code) ? "never" : WITH_A_TOKEN.has(code) ? "token" : "again");
