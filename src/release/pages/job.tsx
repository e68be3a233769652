/** Parts of a job that phone and panel show alike. */
import type { JobOptions, JobView } from '../../job.ts';
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
  sent: string | undefined;
}

function Choice({ id, name, label, values, sent }: ChoiceProps) {
  const known = sent === undefined ? undefined : values[sent] ?? sent;
  return (
    <p class='field'>
      <label for={id}>{label}</label>
      <select id={id} name={name}>
        <option value=''>{known === undefined ? s.asSent : s.asSentIs(known)}</option>
        {Object.entries(values).map(([value, text]) => <option key={value} value={value}>{text}</option>)}
      </select>
    </p>
  );
}

/** The options that can be changed when a job is released; what is left as it is stays as it was sent. */
export function OptionFields({ options }: { options: JobOptions | null }) {
  const { copies, media, sides, 'print-color-mode': colour, 'page-ranges': ranges } = options ?? {};
  const { auto: _, ...colours } = s.colours;
  const range = rangesText(ranges);
  return (
    <fieldset class='options'>
      <legend>{s.options}</legend>
      <p class='field'>
        <label for='copies'>{s.copies}</label>
        <input
          id='copies'
          name='copies'
          type='number'
          inputmode='numeric'
          min='1'
          max='999'
          placeholder={String(copies ?? 1)}
        />
      </p>
      <Choice id='sides' name='sides' label={s.sidesLabel} values={s.sides} sent={sides} />
      <Choice
        id='colour'
        name='print-color-mode'
        label={s.colour}
        values={colours}
        sent={colour === 'auto' ? s.colours.auto : colour}
      />
      <Choice id='media' name='media' label={s.media} values={papers} sent={media} />
      <p class='field'>
        <label for='ranges'>{s.ranges}</label>
        <input
          id='ranges'
          name='page-ranges'
          inputmode='text'
          autocomplete='off'
          maxlength={maxFieldChars}
          placeholder={range}
          aria-describedby='ranges-hint'
        />
        <span id='ranges-hint' class='hint'>{range === '' ? s.rangesHint : s.asSentIs(range)}</span>
      </p>
    </fieldset>
  );
}

/** What is asked before an interrupted job prints again. */
export function Reprint({ job }: { job: JobView }) {
  if (job.state !== 'interrupted') return null;
  return (
    <div class='warning' role='group' aria-labelledby='reprint'>
      <h2 id='reprint'>{s.interruptedTitle}</h2>
      <p>{s.interruptedText}</p>
      <label class='check'>
        <input type='checkbox' name='confirm' value={job.claims.join(' ')} /> {s.confirm}
      </label>
    </div>
  );
}
