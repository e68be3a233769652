/** Which function is which IPP operation. */
import { type OperationName, operations } from '../ipp/registry.ts';
import type { Operation } from './ipp-call.ts';
import * as control from './ipp-control.ts';
import * as documents from './ipp-documents.ts';
import * as inquire from './ipp-inquire.ts';
import * as notify from './ipp-notify.ts';
import * as print from './ipp-print.ts';
import { refusal } from './ipp-request.ts';

const byName: Readonly<Record<OperationName, Operation>> = {
  'Print-Job': print.printJob,
  'Validate-Job': print.validateJob,
  'Create-Job': print.createJob,
  'Send-Document': print.sendDocument,
  'Close-Job': print.closeJob,
  'Get-Job-Attributes': inquire.getJobAttributes,
  'Get-Jobs': inquire.getJobs,
  'Get-Printer-Attributes': inquire.getPrinterAttributes,
  'Get-Printer-Supported-Values': inquire.getPrinterSupportedValues,
  'Identify-Printer': inquire.identifyPrinter,
  'Cancel-Job': control.cancelJob,
  'Cancel-My-Jobs': control.cancelMyJobs,
  'Cancel-Current-Job': control.cancelCurrentJob,
  'Hold-Job': control.holdJob,
  'Release-Job': control.releaseJob,
  'Restart-Job': control.printAgain,
  'Reprocess-Job': control.printAgain,
  'Resubmit-Job': control.printAgain,
  'Set-Job-Attributes': control.setJobAttributes,
  'Get-Documents': documents.getDocuments,
  'Get-Document-Attributes': documents.getDocumentAttributes,
  'Cancel-Document': documents.cancelDocument,
  'Set-Document-Attributes': documents.setDocumentAttributes,
  'Create-Printer-Subscriptions': notify.createPrinterSubscriptions,
  'Get-Subscription-Attributes': notify.getSubscriptionAttributes,
  'Get-Subscriptions': notify.getSubscriptions,
  'Renew-Subscription': notify.renewSubscription,
  'Cancel-Subscription': notify.cancelSubscription,
  'Get-Notifications': notify.getNotifications,
  'Pause-Printer': control.operatorOnly,
  'Resume-Printer': control.operatorOnly,
  'Purge-Jobs': control.operatorOnly,
  'Set-Printer-Attributes': control.operatorOnly,
  'Enable-Printer': control.operatorOnly,
  'Disable-Printer': control.operatorOnly,
  'Pause-Printer-After-Current-Job': control.operatorOnly,
  'Hold-New-Jobs': control.operatorOnly,
  'Release-Held-New-Jobs': control.operatorOnly,
  'Restart-Printer': control.operatorOnly,
  'Shutdown-Printer': control.operatorOnly,
  'Startup-Printer': control.operatorOnly,
  'Suspend-Current-Job': control.operatorOnly,
  'Resume-Job': control.operatorOnly,
  'Promote-Job': control.operatorOnly,
  'Schedule-Job-After': control.operatorOnly,
  'Cancel-Jobs': control.operatorOnly,
};
const byId = new Map(Object.entries(byName).map(([name, run]) => [operations[name as OperationName], run]));

/** @throws InkmeshError */
export function operationOf(id: number): Operation {
  const operation = byId.get(id);
  if (operation !== undefined) return operation;
  throw refusal('server-error-operation-not-supported', 'this printer has no such operation');
}
