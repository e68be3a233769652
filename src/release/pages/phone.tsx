/** The shells of the phone's pages: nothing of anybody's is in them, the script fills them with what it may see. */
import { strings as s } from '../strings.ts';
import { Page } from './layout.tsx';

function InvitationForm() {
  return (
    <form id='invitation'>
      <label for='invite'>{s.pasteLabel}</label>
      <input
        id='invite'
        name='invite'
        autocomplete='off'
        autocapitalize='none'
        spellcheck={false}
        required
      />
      <button type='submit' class='main'>{s.enrolButton}</button>
    </form>
  );
}

/** @param panel whether this node has panel pages, which need no script */
export function Shell({ panel }: { panel: boolean }) {
  return (
    <Page title={s.jobs} kind='phone'>
      <a class='skip' href='#view'>{s.skip}</a>
      <header>
        <a class='brand' href='#/'>{s.app}</a>
        <nav aria-label={s.nav}>
          <a href='#/'>{s.jobs}</a>
          <a href='#/printers'>{s.printers}</a>
        </nav>
      </header>
      <p id='status' role='status' aria-live='polite'></p>
      <main id='view' tabindex={-1}>
        <h1>{s.jobs}</h1>
        <p>{s.loading}</p>
        <noscript>
          <p>{s.noScript}</p>
          {panel
            ? (
              <p>
                <a href='/panel'>{s.panelLink}</a>
              </p>
            )
            : null}
        </noscript>
      </main>
      <template id='welcome'>
        <h1>{s.welcome}</h1>
        <p>{s.welcomeText}</p>
        <InvitationForm />
      </template>
      <template id='lapsed'>
        <h1>{s.lapsed}</h1>
        <p>{s.lapsedText}</p>
        <InvitationForm />
      </template>
      <template id='enrol'>
        <h1>{s.enrolTitle}</h1>
        <p>{s.enrolText}</p>
        <p>{s.enrolWarn}</p>
        <p class='warning' id='replaces' hidden></p>
        <button class='main' type='button' data-enrol>{s.enrolButton}</button>
      </template>
      <template id='unreachable'>
        <h1>{s.jobs}</h1>
        <p>{s.script.unreachable}</p>
        <button class='main' type='button' data-again>{s.script.again}</button>
      </template>
    </Page>
  );
}
