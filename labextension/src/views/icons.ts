/** Icons of the intern's own; the rest are Lab's. */
import { LabIcon } from '@jupyterlab/ui-components';
import internSvg from '../../style/icons/intern.svg';
import stopSvg from '../../style/icons/stop-intern.svg';

export const internIcon = new LabIcon({ name: 'mlintern:intern', svgstr: internSvg });
/** Not Lab's square, which means: interrupt the kernel. */
export const stopInternIcon = new LabIcon({ name: 'mlintern:stop-intern', svgstr: stopSvg });
