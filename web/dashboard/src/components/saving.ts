/** Hands a file to the browser, which saves it. */
export function saveAs(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser has taken it by then; nothing tells when.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
