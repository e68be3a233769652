/** Every text of the operators' page. */
const script = {
  done: 'Decided for site {site}: {what}. It takes effect at once.',
  refused: 'That was refused: {reason}',
  unreachable: 'The cloud node does not answer.',
  noAdmin: 'This browser’s credential is no administrator’s: {reason}',
} as const;

export const strings = {
  script,
  title: 'Operators',
  skip: 'Skip to the sites',
  documents: 'My documents',
  loading: 'Loading…',
  noScript: 'This page needs JavaScript, as your browser itself signs what you decide.',
  welcomeText:
    'This browser is nobody’s yet: open an administrator’s invitation link in it, then come back here.',
  noRegistrar: 'No registrar is connected, and only one can state decisions: nothing can be changed now.',
  sites: 'Sites',
  site: 'Site',
  relay: 'Relay',
  mesh: 'Talks directly to',
  relayed: 'Relayed',
  on: 'on',
  off: 'off',
  turn: (site: string, on: boolean) => `Turn ${on ? 'on' : 'off'} the relay of site ${site}`,
  turnShort: (on: boolean) => on ? 'Turn on' : 'Turn off',
  scope: { organisation: 'all sites', site: 'its own nodes' },
  scopeTurn: (site: string, to: 'organisation' | 'site') =>
    to === 'site'
      ? `Close site ${site} to nodes of other sites`
      : `Open site ${site} to nodes of other sites`,
  scopeShort: { organisation: 'Open', site: 'Close' },
  nodes: 'Nodes',
  node: 'Node',
  roles: 'Roles',
  seen: 'Last seen',
  now: 'connected',
  never: 'never',
  revoked: 'revoked',
  trail: 'What was decided',
  when: 'When',
  who: 'Who',
  what: 'What',
  somebody: 'at a registrar',
  nothing: 'Nothing yet.',
} as const;
