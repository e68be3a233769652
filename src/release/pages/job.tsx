/** Parts of a job that phone and panel show alike. */
import { pjlFormat } from '../../deliver/formats.ts';
import type { Printer } from '../../directory.ts';
import { type JobOptions, type JobView, stapled } from '../../job.ts';
import { maxFieldChars, papers } from '../papers.ts';
import { strings as s } from '../strings.ts';
import { formatOf, rangesText, sizeOf, stateOf, timeOf } from './job-text.ts';

export function Time({ iso }: { iso: string }) {
  return <time datetime={iso}>{timeOf(iso)}</time>;
}

export function Facts({ job }: { job: JobView }) {
  const format = formatOf(job);
  return (
    <p class='facts'>
      {format === undefined ? null : `${format}, `}
      {sizeOf(job)}, {s.submitted} <Time iso={job.submitted} />
    </p>
  );
}

export function State({ job }: { job: JobView }) {
  return <p class={`state ${job.state}`}>{stateOf(job)}</p>;
}

/** Of a list of jobs that are chosen from. */
export function PrintButtons() {
  return (
    <p class='actions bar'>
      <button type='submit' class='main' name='which' value='selected'>{s.printSelected}</button>
      <button type='submit' name='which' value='all'>{s.printAll}</button>
    </p>
  );
}

interface ChoiceProps {
  id: string;
  name: string;
  label: string;
  values: Readonly<Record<string, string>>;
  /** those that the printer takes; all where that is not known */
  taken: readonly (string | number)[] | undefined;
  sent: string | undefined;
  /** what was chosen before, where the form is shown again */
  entered: string | undefined;
}

function Choice({ id, name, label, values, taken, sent, entered }: ChoiceProps) {
  const known = sent !== undefined && Object.hasOwn(values, sent) ? values[sent] : sent;
  const offered = Object.entries(values).filter(([value]) => taken?.map(String).includes(value) ?? true);
  return (
    <p class='field' data-key={name}>
      <label for={id}>{label}</label>
      <select id={id} name={name}>
        <option value=''>{known === undefined ? s.asSent : s.asSentIs(known)}</option>
        {offered.map(([value, text]) => (
          <option key={value} value={value} selected={value === entered}>{text}</option>
        ))}
      </select>
    </p>
  );
}

/** A printer that speaks PJL cannot be asked, and takes no notice where it has no stapler. */
const staples = ({ options, formats = [] }: Printer) =>
  options?.finishings?.includes(stapled) ?? formats.includes(pjlFormat);

export interface OptionFieldsProps {
  options: JobOptions | null;
  /** undefined where none is chosen */
  printer: Printer | undefined;
  /** the fields of the form, where it is shown again */
  entered?: Readonly<Record<string, string>>;
}

/**
 * The options that can be changed when a job is released, as far as the printer has them; what is left as it is stays as it
 * was sent.
 */
export function OptionFields({ options, printer, entered = {} }: OptionFieldsProps) {
  const { copies, media, sides, finishings, 'print-color-mode': colour, 'page-ranges': ranges } = options ??
    {};
  const { auto: _, ...colours } = s.colours;
  const range = rangesText(ranges);
  const can = printer?.options ?? {};
  return (
    <fieldset class='options' data-key='options'>
      <legend>{s.options}</legend>
      <p class='field' data-key='copies'>
        <label for='copies'>{s.copies}</label>
        <input
          id='copies'
          name='copies'
          type='number'
          inputmode='numeric'
          min='1'
          max={String(can.copies ?? 999)}
          value={entered['copies']}
          placeholder={String(copies ?? 1)}
        />
      </p>
      <Choice
        {...{ id: 'sides', name: 'sides', label: s.sidesLabel }}
        {...{ values: s.sides, taken: can.sides, sent: sides, entered: entered['sides'] }}
      />
      <Choice
        {...{ id: 'colour', name: 'print-color-mode', label: s.colour }}
        {...{ values: colours, taken: can['print-color-mode'], entered: entered['print-color-mode'] }}
        sent={colour === 'auto' ? s.colours.auto : colour}
      />
      <Choice
        {...{ id: 'media', name: 'media', label: s.media }}
        {...{ values: papers, taken: can.media, sent: media, entered: entered['media'] }}
      />
      {printer !== undefined && staples(printer)
        ? (
          <Choice
            {...{ id: 'staple', name: 'finishings', label: s.staple }}
            {...{ values: s.staples, taken: can.finishings, entered: entered['finishings'] }}
            sent={finishings === undefined ? undefined : String(finishings)}
          />
        )
        : finishings === stapled && printer !== undefined
        ? <NotHere label={s.staple} value={s.staples[stapled]} />
        : null}
      {can['page-ranges'] !== false
        ? <PageRanges range={range} entered={entered['page-ranges']} />
        : range === ''
        ? null
        : <NotHere label={s.ranges} value={range} />}
    </fieldset>
  );
}

/** What the document was sent with, and comes out without. */
function NotHere({ label, value }: { label: string; value: string }) {
  return (
    <p class='field' data-key={`no ${label}`}>
      {label} <span class='hint'>{s.notHere(value)}</span>
    </p>
  );
}

function PageRanges({ range, entered }: { range: string; entered: string | undefined }) {
  return (
    <p class='field' data-key='page-ranges'>
      <label for='ranges'>{s.ranges}</label>
      <input
        id='ranges'
        name='page-ranges'
        inputmode='text'
        autocomplete='off'
        maxlength={maxFieldChars}
        value={entered}
        placeholder={range}
        aria-describedby='ranges-hint'
      />
      <span id='ranges-hint' class='hint'>{range === '' ? s.rangesHint : s.asSentIs(range)}</span>
    </p>
  );
}

/** What is asked before an interrupted job prints again. */
export function Reprint({ job }: { job: JobView }) {
  if (job.state !== 'interrupted') return null;
  return (
    <div class='warning' data-key='reprint' role='group' aria-labelledby='reprint'>
      <h2 id='reprint'>{s.interruptedTitle}</h2>
      <p>{s.interruptedText}</p>
      <label class='check'>
        <input type='checkbox' name='confirm' value={job.claims.join(' ')} /> {s.confirm}
      </label>
    </div>
  );
}
