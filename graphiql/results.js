/** Dispatches `result`, with the result in `detail`, for each response to a query or mutation of the editor. */
export const results = new EventTarget();
