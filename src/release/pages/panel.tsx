/** The pages of a panel: large, without script, for old browsers too. */
import type { Child } from 'hono/jsx';
import { pageLimits } from '../../limits.ts';
import type { Printer } from '../../directory.ts';
import type { JobView } from '../../job.ts';
import type { Run } from '../runs.ts';
import { strings as s } from '../strings.ts';
import { Facts, OptionFields, PrintButtons, Reprint, State } from './job.tsx';
import { isOver, titleOf } from './job-text.ts';
import { Page } from './layout.tsx';

const p = s.panel;

/** the name of the hidden field by which a form shows that it is ours */
export const tokenField = 'token';

interface FormProps {
  action: string;
  token: string;
  class?: string;
  children?: Child;
}

function Form({ action, token, children, class: name }: FormProps) {
  return (
    <form method='post' action={action} class={name}>
      <input type='hidden' name={tokenField} value={token} />
      {children}
    </form>
  );
}

export interface LoginProps {
  message: string | undefined;
}

export function Login({ message }: LoginProps) {
  return (
    <Page title={p.title} kind='panel'>
      <main class='login'>
        <h1>{p.title}</h1>
        {message === undefined ? null : <p role='alert' class='message'>{message}</p>}
        <form method='post' action='/panel/login'>
          <h2>{p.withBadge}</h2>
          <p class='field'>
            <label for='badge'>{p.badge}</label>
            <input
              id='badge'
              name='badge'
              type='password'
              autocomplete='off'
              maxlength={128}
              required
              autofocus
              aria-describedby='badge-hint'
            />
            <span id='badge-hint' class='hint'>{p.badgeHint}</span>
          </p>
          <button type='submit' class='main'>{p.login}</button>
        </form>
        <form method='post' action='/panel/login'>
          <h2>{p.withPin}</h2>
          <p class='field'>
            <label for='name'>{p.name}</label>
            <input id='name' name='name' autocomplete='off' autocapitalize='none' maxlength={64} required />
          </p>
          <p class='field'>
            <label for='pin'>{p.pin}</label>
            <input id='pin' name='pin' type='password' autocomplete='off' maxlength={64} required />
          </p>
          <button type='submit' class='main'>{p.login}</button>
        </form>
      </main>
    </Page>
  );
}

interface SessionProps {
  user: string;
  /** against forged requests */
  token: string;
  children?: Child;
}

function Session({ user, token, children }: SessionProps) {
  return (
    <Page title={p.hello(user)} kind='panel'>
      <header>
        <p class='brand'>{p.hello(user)}</p>
        <Form action='/panel/logout' token={token}>
          <button type='submit'>{p.logout}</button>
        </Form>
      </header>
      <main>{children}</main>
    </Page>
  );
}

/** What went wrong, for somebody who goes on from there; nothing of the documents is on it. */
export function Failed({ message }: { message: string }) {
  return (
    <Page title={s.wentWrong} kind='panel'>
      <main>
        <h1>{s.wentWrong}</h1>
        <p role='alert' class='message'>{message}</p>
        <p class='actions'>
          <a class='button' href='/panel/jobs'>{s.back}</a>
          <a class='button' href='/panel'>{p.logout}</a>
        </p>
      </main>
    </Page>
  );
}

/** Asks, after some time, whether anybody is still there (WCAG 2.2, 2.2.1): nothing of the documents is on it. */
export function Still() {
  return (
    <Page title={p.still} kind='panel'>
      <main>
        <h1>{p.still}</h1>
        <p>{p.stillText(pageLimits.panelAsk_s)}</p>
        <p class='actions'>
          <a class='button' href='/panel/jobs'>{p.goOn}</a>
          <a class='button' href='/panel'>{p.logout}</a>
        </p>
      </main>
    </Page>
  );
}

function PrinterChoice({ printers, chosen }: { printers: readonly string[]; chosen: string }) {
  return (
    <p class='field'>
      <label for='printer'>{s.printer}</label>
      <select id='printer' name='printer'>
        {printers.map((name) => <option key={name} value={name} selected={name === chosen}>{name}</option>)}
      </select>
    </p>
  );
}

function runText({ outcome, reason = '', sent, total, waiting }: Run): string {
  if (outcome === undefined && waiting !== null) return p.waits(waiting);
  if (outcome === undefined) return p.progress(total === 0 ? 0 : Math.floor(100 * sent / total));
  const texts = { failed: p.failed, interrupted: p.interrupted, refused: p.refusedJob };
  return outcome === 'printed' || outcome === 'sent' ? p[outcome] : texts[outcome](reason);
}

export interface PanelJob {
  job: JobView;
  run: Run | undefined;
}

export interface ListProps {
  user: string;
  token: string;
  jobs: readonly PanelJob[];
  printers: readonly string[];
  chosen: string;
  trouble: string | undefined;
  message: string | undefined;
}

export function List({ user, token, jobs, printers, chosen, trouble, message }: ListProps) {
  const shown = jobs.filter(({ job, run }) => run !== undefined || !isOver(job)).slice(
    0,
    pageLimits.maxJobsPerForm,
  );
  const free = shown.some(({ job, run }) =>
    job.state === 'held' && (run === undefined || run.outcome !== undefined)
  );
  return (
    <Session user={user} token={token}>
      <h1>{s.jobs}</h1>
      {message === undefined ? null : <p role='alert' class='message'>{message}</p>}
      {trouble === undefined ? null : <p role='status' class='trouble'>{`${chosen}: ${trouble}`}</p>}
      {shown.length === 0 ? <p>{s.none}</p> : (
        <Form action='/panel/print' token={token}>
          <PrinterChoice printers={printers} chosen={chosen} />
          <ul class='jobs'>{shown.map((one) => <Row key={one.job.id} {...one} />)}</ul>
          {free ? <PrintButtons /> : null}
        </Form>
      )}
      <p class='hint'>{p.leaves}</p>
    </Session>
  );
}

function Row({ job, run }: PanelJob) {
  const title = titleOf(job);
  const idle = run === undefined || run.outcome !== undefined;
  const free = job.state === 'held' && idle;
  const open = free || (job.state === 'interrupted' && idle);
  return (
    <li class='job'>
      {free ? <input type='hidden' name='shown' value={job.id} /> : null}
      {free
        ? (
          <label class='title check' for={`job-${job.id}`}>
            <input type='checkbox' id={`job-${job.id}`} name='job' value={job.id} /> {title}
          </label>
        )
        : <p class='title'>{title}</p>}
      <Facts job={job} />
      {run === undefined
        ? <State job={job} />
        : <p class={`state ${run.outcome ?? 'delivering'}`}>{runText(run)}</p>}
      {open
        ? (
          <p class='actions'>
            <a
              class='button'
              href={`/panel/jobs/${job.id}`}
              aria-label={free ? s.optionsOf(title) : `${s.decide}: ${title}`}
            >
              {free ? s.options : s.decide}
            </a>
          </p>
        )
        : null}
    </li>
  );
}

/** Asks before a document is erased (WCAG 2.2, 3.3.4). */
export function Delete({ user, token, job }: Pick<OneProps, 'user' | 'token' | 'job'>) {
  return (
    <Session user={user} token={token}>
      <h1>{p.deleteSure}</h1>
      <p class='title'>{titleOf(job)}</p>
      <Facts job={job} />
      <p>{p.deleteText}</p>
      <Form action={`/panel/jobs/${job.id}/delete`} token={token} class='actions'>
        <input type='hidden' name='claims' value={job.claims.join(' ')} />
        <button type='submit' class='danger' name='sure' value='yes'>{p.deleteYes}</button>
        <a class='button' href={`/panel/jobs/${job.id}`}>{p.deleteNo}</a>
      </Form>
    </Session>
  );
}

export interface OneProps {
  user: string;
  token: string;
  job: JobView;
  printers: readonly string[];
  /** undefined while there is none */
  printer: Printer | undefined;
  message: string | undefined;
  /** what a form had that is shown again */
  entered: Readonly<Record<string, string>>;
}

export function One({ user, token, job, printers, printer, message, entered }: OneProps) {
  const again = job.state === 'interrupted';
  return (
    <Session user={user} token={token}>
      <p>
        <a class='button' href='/panel/jobs'>{s.back}</a>
      </p>
      <h1>{titleOf(job)}</h1>
      {message === undefined ? null : <p role='alert' class='message'>{message}</p>}
      <Facts job={job} />
      <State job={job} />
      {again || job.state === 'held'
        ? (
          <>
            <Form action={`/panel/jobs/${job.id}/print`} token={token}>
              <PrinterChoice printers={printers} chosen={printer?.name ?? ''} />
              <Reprint job={job} />
              <OptionFields options={job.options} printer={printer} entered={entered} />
              <p class='actions bar'>
                <button type='submit' class='main'>{again ? s.printAgain : s.print}</button>
              </p>
            </Form>
            <Form action={`/panel/jobs/${job.id}/delete`} token={token} class='actions'>
              <button type='submit' class='danger'>{s.delete}</button>
            </Form>
          </>
        )
        : null}
    </Session>
  );
}
