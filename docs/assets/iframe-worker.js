// Search from disk: browsers start no worker from file://, so the script of one runs in a hidden frame.
// The name is what Material's offline plugin looks for; without it the plugin adds a shim from a server.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      // What the worker posts goes to the page; what it hears are events that the page dispatches.
      frame.srcdoc =
        "<script>window.postMessage = data => parent.postMessage(data, '*')</script>" +
        `<script src="${new URL(url, location.href)}"></script>`
      this.frame = new Promise(resolve =>
        frame.addEventListener("load", () => resolve(frame.contentWindow), { once: true })
      )
      window.addEventListener("message", event => {
        if (event.source === frame.contentWindow)
          this.dispatchEvent(new MessageEvent("message", { data: event.data }))
      })
      document.body.append(frame)
    }

    postMessage(data) {
      this.frame.then(frame => frame.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
}
