/// <reference types="vite/client" />

interface Window {
  tikbridge: any
}
