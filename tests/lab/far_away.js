/** Every message takes a while each way, in its order: the server is far from this page. */
(() => {
  const FAR_MS = 1500;
  const Near = window.WebSocket;
  const line = () => {
    const waiting = [];
    return act => {
      waiting.push(act);
      setTimeout(() => waiting.shift()(), FAR_MS);
    };
  };
  window.WebSocket = class extends Near {
    arrive = line();
    leave = line();
    heard = null;

    get onmessage() {
      return this.heard;
    }

    set onmessage(heard) {
      this.heard = heard;
      super.onmessage = event => this.arrive(() => this.heard?.(event));
    }

    send(data) {
      this.leave(() => {
        if (this.readyState === Near.OPEN) {
          super.send(data);
        }
      });
    }
  };
})();
