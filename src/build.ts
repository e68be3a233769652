/** What a built program knows of its build; nothing when it runs from its sources. */

export interface Build {
  /** of the sources, abbreviated; ends with `+` when they were changed since; null when git did not know */
  readonly commit: string | null;
  /** whether the runtime and the program are one file, which is started by its name alone */
  readonly single: boolean;
}

/** The bundler puts it here (compile/bundle.ts). */
declare const INKMESH_BUILD: Build;

export const build: Build | undefined = typeof INKMESH_BUILD === 'undefined' ? undefined : INKMESH_BUILD;
