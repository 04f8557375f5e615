import { createApp } from 'vue'
import { createRouter, createWebHistory, RouterView } from 'vue-router'

import Auth from './Auth.vue'
import Home from './Home.vue'
import './style.css'

const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/auth', component: Auth },
    { path: '/:rest(.*)', component: Home },
  ],
})

createApp(RouterView).use(router).mount('#app')
