// What the page of Swagger UI lacks: links to the other pages, the width of phones, and the colour scheme of the system.
const viewport = document.createElement('meta');
viewport.name = 'viewport';
viewport.content = 'width=device-width, initial-scale=1';
document.head.append(viewport);

const header = document.createElement('header');
header.className = 'site';
header.innerHTML =
  '<a href="/"><img src="/favicon.svg" alt="" width="24" height="24"> Tidings</a> <a href="/graphql">GraphiQL</a>';
document.body.prepend(header);

const dark = matchMedia('(prefers-color-scheme: dark)');
const applyScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', applyScheme);
applyScheme();
