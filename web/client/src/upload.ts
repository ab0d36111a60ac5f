/** Sends a file piece by piece, and tells how far that is where the platform knows it. */

import { BadAnswer, ServerUnreachable } from "./errors.ts";
import type { Upload } from "./generated/models.ts";
import { body, type Http, refusal } from "./http.ts";
import type { UploadOptions } from "./options.ts";
import { isObject } from "./wire.ts";

/** Throws `RequestRefused`, `ServerUnreachable`, and an `AbortError` when it was aborted. */
export async function sendFile(http: Http, file: Blob, options: UploadOptions): Promise<Upload> {
  const name = options.name ?? ("name" in file ? String(file.name) : "");
  const address = http.address("/uploads", { name });
  const headers: Record<string, string> = { Accept: "application/json", ...(await http.shown()) };
  // Without a type the server goes by the name.
  const type = options.mediaType ?? file.type;
  if (type) headers["Content-Type"] = type;
  options.signal?.throwIfAborted();
  const send = typeof XMLHttpRequest === "undefined" ? byFetch : byRequest;
  const response = await send({ http, address, headers, file, options });
  if (!response.ok) throw await refusal(response);
  const upload = await body(response);
  if (!isObject(upload) || typeof upload.upload_id !== "string")
    throw new BadAnswer("the server sent an upload that is none");
  return upload as unknown as Upload;
}

interface Sending {
  http: Http;
  address: string;
  headers: Record<string, string>;
  file: Blob;
  options: UploadOptions;
}

/** Only this tells browsers' pages how much has gone. */
function byRequest({ http, address, headers, file, options }: Sending): Promise<Response> {
  const request = new XMLHttpRequest();
  request.open("POST", address);
  request.withCredentials = http.credentials === "include";
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  const abort = (): void => request.abort();
  const answered = new Promise<Response>((resolve, reject) => {
    request.upload.onprogress = ({ loaded, total }) =>
      options.onProgress?.({ sentBytes: loaded, totalBytes: total });
    request.onload = () => resolve(responseOf(request));
    request.onerror = () => reject(new ServerUnreachable(`no answer from ${http.serverUrl}`));
    request.onabort = () => reject(options.signal?.reason);
  });
  options.signal?.addEventListener("abort", abort);
  request.send(file);
  return answered.finally(() => options.signal?.removeEventListener("abort", abort));
}

function responseOf(request: XMLHttpRequest): Response {
  const type = request.getResponseHeader("Content-Type") ?? "";
  return new Response(request.responseText, {
    status: request.status,
    headers: { "Content-Type": type },
  });
}

async function byFetch({ http, address, headers, file, options }: Sending): Promise<Response> {
  let response: Response;
  try {
    const { signal = null } = options;
    const { credentials } = http;
    response = await fetch(address, { method: "POST", headers, body: file, credentials, signal });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ServerUnreachable(`no answer from ${http.serverUrl}: ${error}`);
  }
  options.onProgress?.({ sentBytes: file.size, totalBytes: file.size });
  return response;
}
