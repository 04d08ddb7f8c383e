/** What `lab.py` sees in a page; beside `testing` of tests/lab. */
window.bench = {
  /** When a cell is in the model, when it is drawn, when it is before the person's eyes; clicks. */
  watch(path) {
    const { content } = testing.panel(path);
    const seen = (window.seen = {});
    const waiting = new Set();
    content.model.cells.changed.connect((_, { type, newValues }) => {
      for (const cell of type === 'add' ? newValues : []) {
        seen[cell.id] = { model: Date.now() };
        waiting.add(cell.id);
      }
    });
    const look = () => {
      const view = content.outerNode.getBoundingClientRect();
      for (const id of waiting) {
        const cell = content.widgets.find(each => each.model.id === id);
        const box = cell?.node.isConnected && cell.editor && cell.node.getBoundingClientRect();
        if (box && box.height > 0) {
          seen[id].drawn ??= Date.now();
          if (box.bottom > view.top && box.top < view.bottom) {
            seen[id].visible = Date.now();
            waiting.delete(id);
          }
        }
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    window.clicks = [];
    document.addEventListener('click', () => clicks.push(Date.now()), true);
  },

  /** When the notebook is read, and when everything of the session is there. */
  awaitAll(path, cells, waiting) {
    const back = (window.back = {});
    const look = () => {
      const panel = window.testing?.panel(path);
      if (panel?.context.isReady && panel.content.model) {
        const ids = panel.content.widgets.map(cell => cell.model.id);
        back.ready ??= { at: Date.now(), had: cells.filter(id => ids.includes(id)).length };
        const widget = panel.content.widgets.find(cell => cell.model.id === waiting);
        const status = document.querySelector('.jp-mlintern-Sidebar [role=status]');
        const is = {
          cells: cells.every(id => ids.includes(id)),
          bar: widget?.node.querySelector('.jp-mlintern-CellBar button'),
          sidebar: status?.textContent === 'Waits for you' && status.offsetHeight > 0
        };
        for (const [what, isThere] of Object.entries(is)) {
          if (isThere) {
            back[what] ??= Date.now();
          }
        }
        back.all = Boolean(back.cells && back.bar && back.sidebar);
      }
      if (!back.all) {
        setTimeout(look, 4);
      }
    };
    look();
  }
};
