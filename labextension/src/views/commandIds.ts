/** Every command, so that schema, palette and views name the same things. */
export const CommandIds = {
  openSidebar: 'mlintern:open-sidebar',
  focusNotebook: 'mlintern:focus-notebook',
  begin: 'mlintern:begin',
  nextPending: 'mlintern:next-pending',
  runCell: 'mlintern:run-cell',
  skipCell: 'mlintern:skip-cell',
  runKind: 'mlintern:run-kind',
  steer: 'mlintern:steer',
  pause: 'mlintern:pause',
  continue: 'mlintern:continue',
  stop: 'mlintern:stop',
  stopAndCancelJobs: 'mlintern:stop-and-cancel-jobs',
  interruptCell: 'mlintern:interrupt-cell',
  setMode: 'mlintern:set-mode',
  startJob: 'mlintern:start-job',
  cancelJob: 'mlintern:cancel-job',
  resumeSession: 'mlintern:resume-session',
  followHere: 'mlintern:follow-here',
  putBack: 'mlintern:put-back'
} as const;
