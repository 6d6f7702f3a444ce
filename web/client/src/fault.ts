/** The server sent what is not the protocol. */
export class ProtocolError extends Error {}
