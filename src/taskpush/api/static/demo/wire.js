// @ts-check
/**
 * The shapes of the wire contract, version 1, as far as this page reads them.
 *
 * @typedef {{epoch: string, seq: number}} Position
 * @typedef {{task_id: string, event_type: string, data: Record<string, any>, timestamp: string,
 *   attempt: number, seq: number | null, epoch?: string, rev?: number}} Envelope
 * @typedef {Record<string, any> & {task_id: string, kind: string, status: string, attempt: number,
 *   position: Position, latest: Record<string, any>}} Snapshot
 * @typedef {Record<string, any>} Schema
 * @typedef {{name: string, description?: string | null, default: boolean,
 *   params_schema: Schema}} Kind
 * @typedef {{loc: string, message: string}} FieldError `loc` is a dotted path into the body.
 */

export {};
