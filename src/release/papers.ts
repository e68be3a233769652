/** The paper that the release pages offer: PWG 5101.1 media names, and what people call them. */
export const papers: Readonly<Record<string, string>> = {
  'iso_a4_210x297mm': 'A4',
  'iso_a3_297x420mm': 'A3',
  'iso_a5_148x210mm': 'A5',
  'na_letter_8.5x11in': 'Letter',
  'na_legal_8.5x14in': 'Legal',
  'na_ledger_11x17in': 'Tabloid',
};

/** characters of what is typed into a field of options */
export const maxFieldChars = 255;
