// Pictures of resources, as the shapes of an SVG in a box of 20 by 20.

const SHAPES = {
  gold: [['circle', { cx: 10, cy: 10, r: 7.5, fill: '#e8b84a', stroke: '#8d6413', 'stroke-width': 1.5 }], ['circle', { cx: 10, cy: 10, r: 4.3, fill: 'none', stroke: '#fbe3a0', 'stroke-width': 1.4 }]],
  wood: [['rect', { x: 3, y: 6, width: 11, height: 8, fill: '#8a5a31', rx: 1 }], ['ellipse', { cx: 14, cy: 10, rx: 3.4, ry: 4.4, fill: '#dcb37a', stroke: '#6b431f', 'stroke-width': 1.2 }], ['ellipse', { cx: 14, cy: 10, rx: 1.2, ry: 1.7, fill: '#a87742' }]],
  stone: [['path', { d: 'M2 15 L5 7 L11 4 L17 9 L18 15 Z', fill: '#9aa2ac' }], ['path', { d: 'M11 4 L17 9 L18 15 L11 15 Z', fill: '#757d87' }], ['path', { d: 'M5 7 L11 4 L9 8 Z', fill: '#cfd5db' }]],
  food: [['path', { d: 'M10 18 C10 12 10 9 10 4', fill: 'none', stroke: '#a08a35', 'stroke-width': 1.6 }], ['path', { d: 'M10 4 q-4 1 0 5 q4 -4 0 -5 M10 8 q-6 -1 -5 4 q5 1 5 -4 M10 8 q6 -1 5 4 q-5 1 -5 -4 M10 12 q-6 -1 -4.5 4 q4.5 1 4.5 -4 M10 12 q6 -1 4.5 4 q-4.5 1 -4.5 -4', fill: '#dfc65a' }]],
};
const OTHER = [['path', { d: 'M10 2 L18 10 L10 18 L2 10 Z', fill: '#7fb2c9', stroke: '#3d6476', 'stroke-width': 1.5 }]];
const SVG = 'http://www.w3.org/2000/svg';

export function resourceIcon(item) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'resource-icon');
  svg.setAttribute('aria-hidden', 'true');
  for (const [tag, attributes] of SHAPES[item] || OTHER) {
    const shape = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    svg.append(shape);
  }
  return svg;
}
