/** What `notebook_page.py` asks of a page; everything goes through the models of `jupyterapp`. */
window.testing = {
  /** Whether a condition came true in time; looked at again and again, and awaited. */
  async until(condition, everyMs, waitMs) {
    const deadline = performance.now() + waitMs;
    while (performance.now() < deadline) {
      if (await condition()) {
        return true;
      }
      await new Promise(resolve => setTimeout(resolve, everyMs));
    }
    return false;
  },

  /** The widget of a notebook in the main area, or null. */
  panel(path) {
    for (const widget of window.jupyterapp?.shell?.widgets('main') ?? []) {
      if (widget.context?.path === path && widget.content?.model?.cells) {
        return widget;
      }
    }
    return null;
  },

  kernel(path) {
    return this.panel(path)?.sessionContext?.session?.kernel ?? null;
  },

  /** The file is read, its cells are there and its kernel answers. */
  isReady(path) {
    const panel = this.panel(path);
    return Boolean(panel?.context.isReady && panel.isVisible && this.kernel(path)?.status === 'idle');
  },

  cells(path) {
    return Array.from(this.panel(path).content.model.cells).map(cell => ({
      id: cell.id,
      type: cell.type,
      source: cell.sharedModel.getSource(),
      outputs: cell.outputs?.toJSON() ?? [],
      metadata: cell.metadata,
      execution_count: cell.executionCount ?? null,
      is_running: (cell.executionState ?? 'idle') !== 'idle'
    }));
  },

  look(path) {
    const { content } = this.panel(path);
    const at = content.activeCell?.editor?.getCursorPosition();
    return {
      mode: content.mode,
      active: content.activeCell?.model.id ?? null,
      selected: content.selectedCells.map(cell => cell.model.id),
      cursor: at ? [at.line, at.column] : null,
      scroll_px: (content.outerNode ?? content.node).scrollTop
    };
  },

  run(path, index) {
    const { content } = this.panel(path);
    content.activeCellIndex = index;
    content.deselectAll();
    return window.jupyterapp.commands.execute('notebook:run-cell');
  },

  runAll() {
    return window.jupyterapp.commands.execute('notebook:run-all-cells');
  },

  /** Hear everything the intern's extension is told by this kernel: the highest number of it. */
  listen(path) {
    const kernel = this.kernel(path);
    if (kernel === this.heardOf) {
      return;
    }
    this.heardOf = kernel;
    this.lastSeq = 0;
    const hear = message => {
      this.lastSeq = Math.max(this.lastSeq, message?.seq ?? 0);
    };
    kernel.anyMessage.connect((_, { direction, msg }) => {
      if (direction !== 'recv') {
        return;
      }
      if (msg.header.msg_type === 'comm_msg' && msg.content.comm_id === 'mlintern') {
        hear(msg.content.data);
      } else if (msg.header.msg_type === 'mlintern_reply') {
        msg.content.messages?.forEach(hear);
      }
    });
  },

  /** Ask the intern in the kernel, as its page does; null when nobody answers in time. */
  async ask(path, content, waitMs) {
    const kernel = this.kernel(path);
    if (kernel === null) {
      return null;
    }
    const future = kernel.sendControlMessage(
      {
        channel: 'control',
        header: {
          msg_id: crypto.randomUUID(),
          msg_type: 'mlintern_request',
          session: kernel.clientId,
          username: 'test',
          version: '5.3',
          date: new Date().toISOString()
        },
        parent_header: {},
        metadata: {},
        content,
        buffers: []
      },
      true
    );
    const late = new Promise(resolve => setTimeout(() => resolve(null), waitMs));
    const reply = await Promise.race([future.done, late]);
    return reply?.content ?? null;
  },

  /**
   * No session is at work, every message reached this page, and its cells stopped changing between
   * two looks: what a page makes of a message, it makes at once.
   */
  async isSettled(path) {
    const status = await this.ask(path, { kind: 'status', whole: false, tab: '' }, 20_000);
    const cells = this.cells(path);
    const now = JSON.stringify(cells);
    const before = this.seen;
    this.seen = now;
    return Boolean(
      status?.ok &&
        status.active.length === 0 &&
        this.lastSeq >= status.seq &&
        this.kernel(path).status === 'idle' &&
        !cells.some(cell => cell.is_running) &&
        now === before
    );
  }
};
