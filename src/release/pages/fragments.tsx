/** What the phone's script shows in the shell: made by the node for whoever signed the request. */
import type { Printer } from '../../directory.ts';
import type { JobView } from '../../job.ts';
import { strings as s } from '../strings.ts';
import { Facts, OptionFields, PrintButtons, Reprint, State, Time } from './job.tsx';
import { isBusy, isOver, titleOf } from './job-text.ts';

/** A printer, and why it cannot print now; undefined when nothing is known to be wrong. */
export interface PrinterView extends Printer {
  trouble?: string;
}

const maxShown = 200;
const maxDone = 20;

function Chosen({ printer }: { printer: PrinterView | undefined }) {
  return (
    <p class='chosen' data-printer={printer?.name}>
      <span>{s.printer}: {printer === undefined ? s.noPrinter : <strong>{printer.name}</strong>}</span>
      <a href='#/printers'>{printer === undefined ? s.choose : s.change}</a>
      {printer?.trouble === undefined ? null : <span class='trouble'>{printer.trouble}</span>}
    </p>
  );
}

function Card({ job }: { job: JobView }) {
  const title = titleOf(job);
  const free = job.state === 'held';
  return (
    <li class='job' data-job={job.id} data-title={title} data-format={job.format ?? undefined}>
      <p class='title'>
        {free
          ? (
            <input
              type='checkbox'
              id={`job-${job.id}`}
              name='job'
              value={job.id}
              aria-label={s.select(title)}
            />
          )
          : null}
        {free ? <label for={`job-${job.id}`}>{title}</label> : title}
      </p>
      <Facts job={job} />
      <State job={job} />
      <progress hidden aria-label={title} max='100'></progress>
      {free
        ? (
          <p class='actions'>
            <button type='button' data-print={job.id} aria-label={s.printTitle(title)}>{s.print}</button>
            <a class='button' href={`#/job/${job.id}`} aria-label={s.optionsOf(title)}>{s.options}</a>
          </p>
        )
        : null}
      {job.state === 'interrupted'
        ? (
          <p class='actions'>
            <a class='button' href={`#/job/${job.id}`}>{s.decide}</a>
          </p>
        )
        : null}
    </li>
  );
}

/** The owner's jobs. */
export function Jobs({ jobs, printer }: { jobs: readonly JobView[]; printer: PrinterView | undefined }) {
  const open = jobs.filter((job) => !isOver(job));
  const done = jobs.filter(isOver);
  const free = open.some(({ state }) => state === 'held');
  return (
    <>
      <h1>{s.jobs}</h1>
      <Chosen printer={printer} />
      {open.length === 0
        ? (
          <>
            <p>{s.none}</p>
            <p class='hint'>{s.noneHow}</p>
          </>
        )
        : (
          <form id='jobs' data-busy={open.some(isBusy) ? 'yes' : undefined}>
            <ul class='jobs'>{open.slice(0, maxShown).map((job) => <Card key={job.id} job={job} />)}</ul>
            {open.length > maxShown ? <p>{s.more(open.length - maxShown)}</p> : null}
            {free ? <PrintButtons /> : null}
          </form>
        )}
      {done.length === 0 ? null : <Done jobs={done} />}
    </>
  );
}

function Done({ jobs }: { jobs: readonly JobView[] }) {
  return (
    <details class='done'>
      <summary>{s.done(jobs.length)}</summary>
      <ul>
        {jobs.slice(0, maxDone).map((job) => (
          <li data-key={job.id}>
            <a href={`#/job/${job.id}`}>
              {titleOf(job)}, <Time iso={job.submitted} />
            </a>
            <State job={job} />
          </li>
        ))}
      </ul>
    </details>
  );
}

export interface JobProps {
  job: JobView;
  trace: readonly { at: string; what: string }[];
  printer: PrinterView | undefined;
}

/** One job: its options, what can be done with it, and what has become of it. */
export function Job({ job, trace, printer }: JobProps) {
  const title = titleOf(job);
  const again = job.state === 'interrupted';
  const free = again || job.state === 'held';
  return (
    <>
      <p>
        <a href='#/'>{s.back}</a>
      </p>
      <h1>{title}</h1>
      <Facts job={job} />
      <State job={job} />
      {free
        ? (
          <form
            id='job'
            class='job'
            data-job={job.id}
            data-title={title}
            data-format={job.format ?? undefined}
            data-again={again ? 'yes' : undefined}
          >
            <Chosen printer={printer} />
            <Reprint job={job} />
            <OptionFields options={job.options} printer={printer} />
            <progress hidden aria-label={title} max='100'></progress>
            <p class='actions bar'>
              <button type='submit' class='main'>{again ? s.printAgain : s.print}</button>
              <button type='button' class='danger' data-delete={job.id} data-claims={job.claims.join(' ')}>
                {s.delete}
              </button>
            </p>
          </form>
        )
        : <div data-busy={isBusy(job) ? 'yes' : undefined}></div>}
      <details>
        <summary>{s.trace}</summary>
        <ol class='trace'>
          {trace.map(({ at, what }) => (
            <li>
              <Time iso={at} /> {what}
            </li>
          ))}
        </ol>
      </details>
    </>
  );
}

export interface PrintersProps {
  printers: readonly PrinterView[];
  /** those used last come first */
  recent: readonly string[];
  query: string;
  site: string;
}

/** The printers to choose from. */
export function Printers({ printers, recent, query, site }: PrintersProps) {
  const wanted = query.toLowerCase();
  const found = printers.filter(({ name, model = '', site: at }) =>
    [name, model, at].some((text) => text.toLowerCase().includes(wanted))
  );
  const rank = ({ name, site: at }: Printer) => {
    const used = recent.indexOf(name);
    return used >= 0 ? used : recent.length + (at === site ? 0 : 1);
  };
  found.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  return (
    <>
      <h1>{s.printers}</h1>
      <form id='search' role='search'>
        <label for='q'>{s.search}</label>
        <input id='q' name='q' type='search' value={query} autocomplete='off' maxlength={63} />
        <button type='submit'>{s.search}</button>
      </form>
      <p class='hint'>{s.qrHint}</p>
      {found.length === 0 ? <p>{s.noPrinters}</p> : (
        <ul class='printers'>
          {found.slice(0, maxShown).map((printer) => (
            <li data-key={printer.name}>
              <button type='button' data-choose={printer.name}>
                <strong>{printer.name}</strong>
                <span>
                  {[
                    ...(printer.model === undefined ? [] : [printer.model]),
                    ...(printer.site === site ? [] : [s.elsewhere(printer.site)]),
                    ...(recent.includes(printer.name) ? [s.recent] : []),
                  ].join(', ')}
                </span>
                {printer.trouble === undefined ? null : <span class='trouble'>{printer.trouble}</span>}
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
